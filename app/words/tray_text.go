package words

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"holdfast/app/agent"
)

// Plain makes a name from outside fit to be shown in one line: control characters and the marks that reverse
// the reading direction become a space, and what is longer than limit runes loses its middle, so that the ending of
// a file name stays. A limit of 0 is none.
func Plain(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x2028, r == 0x2029, r == 0xfeff:
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	runes := []rune(s)
	if limit <= 0 || len(runes) <= limit {
		return s
	}
	tail := limit / 3
	return string(runes[:limit-tail-1]) + "…" + string(runes[len(runes)-tail:])
}

// LastLine is the menu's line about the upload that ended last.
func (w *Words) LastLine(u agent.Upload, now time.Time) string {
	name := Plain(u.File, 36)
	at := u.Ended
	if at.IsZero() {
		at = u.Started
	}
	return fmt.Sprintf(w.Tray.LastUpload, name, strings.ToLower(w.UploadState(u)), w.Clock(at, now))
}
