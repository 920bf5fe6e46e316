// Package words holds every sentence a person reads: tray, windows, notifications, command line.
//
// The rules are:
//   - Say what happened, then what to do. A remedy is an instruction, not a hope.
//   - Sentence case, full stop after a sentence, none after a label. No exclamation marks, no pictures.
//   - A button or menu item is a verb; three dots when a window follows.
//   - Programs are called by their names: Dino, Gajim, Holdfast. Nobody is called "the user".
//   - No words from the code: not "token", "slot", "TLS", "daemon", "socket". "Upload server" is the one technical term.
//   - German says "Sie" where a person is meant and avoids it where it can.
//   - Every entry exists in every language, with the same verbs (%s, %d) in the same order. A test holds this.
//
// # Invariants
//   - A Words value never changes after For.
//   - The package decides nothing: which sentence is true is for app/agent.
package words

import "strings"

// Words is the whole catalog in one language.
type Words struct {
	Lang     string // "en", "de"
	Tray     Tray
	Status   Status
	Network  Network
	Upload   Upload
	Reason   Reason
	Problem  Problem
	Client   Client
	Ctl      Ctl
	Setup    Setup
	Help     Help
	Diagnose Diagnose
	Notice   Notice
	Part     Part
	Views    Views
	Welcome  Welcome
}

// For returns the catalog for a locale such as "de_AT.UTF-8"; English where there is none.
func For(locale string) *Words {
	lang, _, _ := strings.Cut(strings.ToLower(locale), ".")
	lang, _, _ = strings.Cut(lang, "_")
	lang, _, _ = strings.Cut(lang, "-")
	if lang == "de" {
		return german()
	}
	return english()
}

// Locale reads the language of messages from the environment as setlocale(3) does.
func Locale(getenv func(string) string) string {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := getenv(name); v != "" {
			return v
		}
	}
	return ""
}

func english() *Words {
	return &Words{
		Lang: "en", Tray: trayEnglish(), Status: statusEnglish(), Network: networkEnglish(), Upload: uploadEnglish(),
		Reason: reasonEnglish(), Problem: problemEnglish(), Client: clientEnglish(), Ctl: ctlEnglish(), Setup: setupEnglish(), Help: helpEnglish(),
		Diagnose: diagnoseEnglish(), Notice: noticeEnglish(), Part: partEnglish(), Views: viewsEnglish(), Welcome: welcomeEnglish(),
	}
}

func german() *Words {
	return &Words{
		Lang: "de", Tray: trayGerman(), Status: statusGerman(), Network: networkGerman(), Upload: uploadGerman(),
		Reason: reasonGerman(), Problem: problemGerman(), Client: clientGerman(), Ctl: ctlGerman(), Setup: setupGerman(), Help: helpGerman(),
		Diagnose: diagnoseGerman(), Notice: noticeGerman(), Part: partGerman(), Views: viewsGerman(), Welcome: welcomeGerman(),
	}
}
