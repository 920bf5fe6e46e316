package words

import (
	"fmt"
	"time"
)

// Window is what the uploads window and the questions before stopping say, beyond the labels of Tray.
type Window struct {
	To         string // %s client, %s host
	ToHost     string // %s host; the client is unknown
	Speed      string // %s bytes a second
	LeftSec    string // %d seconds
	LeftMin    string // %d minutes
	LeftHours  string // %d hours
	NotOnline  string // the companion is not running; what that means
	CopyOf     string // %s file: what a copy button copies, for the hint below the list
	Running    string // heading of the running uploads in a question
	Stop       string // buttons of the questions
	QuitLater  string
	QuitNow    string
	Keep       string
	NoStart    string // %s why
	NoWindow   string // %s why
	Unanswered string // the companion did not answer a click in time
	WillQuit   string
}

func windowEnglish() Window {
	return Window{
		To:         "%s to %s",
		ToHost:     "to %s",
		Speed:      "%s/s",
		LeftSec:    "%d s left",
		LeftMin:    "%d min left",
		LeftHours:  "%d h left",
		NotOnline:  "Uploads go on in Dino and Gajim, but a change of network ends them. Start Holdfast to protect them.",
		CopyOf:     "The link of %s is in the clipboard.",
		Running:    "Running now",
		Stop:       "Stop Holdfast",
		QuitLater:  "Quit after uploads",
		QuitNow:    "Quit now",
		Keep:       "Keep running",
		NoStart:    "Holdfast did not start: %s.",
		NoWindow:   "The window did not open: %s.",
		Unanswered: "Holdfast does not answer. Try again, or stop and start it.",
		WillQuit:   "Quits after the running uploads.",
	}
}

func windowGerman() Window {
	return Window{
		To:         "%s an %s",
		ToHost:     "an %s",
		Speed:      "%s/s",
		LeftSec:    "noch %d s",
		LeftMin:    "noch %d min",
		LeftHours:  "noch %d h",
		NotOnline:  "Uploads in Dino und Gajim gehen weiter, aber ein Netzwechsel beendet sie. Starten Sie Holdfast, um sie zu schützen.",
		CopyOf:     "Der Link zu %s ist in der Zwischenablage.",
		Running:    "Läuft gerade",
		Stop:       "Holdfast beenden",
		QuitLater:  "Nach den Uploads beenden",
		QuitNow:    "Jetzt beenden",
		Keep:       "Weiterlaufen lassen",
		NoStart:    "Holdfast ist nicht gestartet: %s.",
		NoWindow:   "Das Fenster ging nicht auf: %s.",
		Unanswered: "Holdfast antwortet nicht. Versuchen Sie es noch einmal, oder beenden und starten Sie es.",
		WillQuit:   "Wird nach den laufenden Uploads beendet.",
	}
}

// Left says roughly how long something still takes; empty for nothing and for what nobody can wait for.
func (w *Words) Left(d time.Duration) string {
	switch {
	case d <= 0 || d > 48*time.Hour:
		return ""
	case d < 90*time.Second:
		return fmt.Sprintf(w.Tray.Window.LeftSec, max(1, int(d.Round(time.Second)/time.Second)))
	case d < 90*time.Minute:
		return fmt.Sprintf(w.Tray.Window.LeftMin, int(d.Round(time.Minute)/time.Minute))
	}
	return fmt.Sprintf(w.Tray.Window.LeftHours, int(d.Round(time.Hour)/time.Hour))
}
