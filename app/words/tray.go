package words

// Tray is the labels of the tray menu and the windows.
type Tray struct {
	AutoFix        string
	PauseQuarter   string
	PauseHour      string
	Resume         string
	ResetDino      string // there is a cache to move aside
	ResetGajim     string
	RestartDino    string // there is none: Dino is only started again
	RestartGajim   string
	Uploads        string
	StartHoldfast  string
	StopHoldfast   string
	QuitTray       string
	UploadsTitle   string // of the window
	NoUploads      string // the empty window
	NoUploadsHint  string
	CopyLink       string
	Cancel         string
	TryNow         string
	NoTrayHost     string // the desktop shows no tray icons
	NoTrayHostHint string
	NoBus          string
	NoDisplay      string
	StopAsk        string
	StopAskUploads string // %d uploads
	QuitAsk        string // the companion runs inside the tray program
	ResetDone      string // %s client
	LastUpload     string // %s file, %s what became of it, %s time
	Window         Window
}

func trayEnglish() Tray {
	return Tray{
		AutoFix:        "Auto-fix",
		PauseQuarter:   "Pause for 15 minutes",
		PauseHour:      "Pause for 1 hour",
		Resume:         "Resume",
		ResetDino:      "Reset Dino",
		ResetGajim:     "Reset Gajim",
		RestartDino:    "Restart Dino",
		RestartGajim:   "Restart Gajim",
		Uploads:        "Uploads...",
		StartHoldfast:  "Start Holdfast",
		StopHoldfast:   "Stop Holdfast",
		QuitTray:       "Quit tray",
		UploadsTitle:   "Uploads",
		NoUploads:      "No uploads yet.",
		NoUploadsHint:  "Send a file in Dino or Gajim. It appears here as soon as it passes through Holdfast.",
		CopyLink:       "Copy link",
		Cancel:         "Cancel",
		TryNow:         "Try now",
		NoTrayHost:     "This desktop shows no tray icons.",
		NoTrayHostHint: "Holdfast works all the same. On GNOME, install the extension AppIndicator to see the icon.",
		NoBus:          "There is no desktop session, so there is no place for a tray icon. Use holdfastctl run instead.",
		NoDisplay:      "There is no screen to open a window on. Use holdfastctl uploads instead.",
		StopAsk:        "Stop Holdfast? Uploads will no longer survive a change of network.",
		StopAskUploads: "Stop Holdfast? Uploads running now: %d. They get 10 seconds to finish.",
		QuitAsk:        "Holdfast runs inside this tray. Quitting stops it too, after running uploads.",
		ResetDone:      "%s was reset.",
		LastUpload:     "Last upload: %s, %s %s",
		Window:         windowEnglish(),
	}
}

func trayGerman() Tray {
	return Tray{
		AutoFix:        "Automatisch beheben",
		PauseQuarter:   "15 Minuten pausieren",
		PauseHour:      "1 Stunde pausieren",
		Resume:         "Fortsetzen",
		ResetDino:      "Dino zurücksetzen",
		ResetGajim:     "Gajim zurücksetzen",
		RestartDino:    "Dino neu starten",
		RestartGajim:   "Gajim neu starten",
		Uploads:        "Uploads...",
		StartHoldfast:  "Holdfast starten",
		StopHoldfast:   "Holdfast beenden",
		QuitTray:       "Symbol ausblenden",
		UploadsTitle:   "Uploads",
		NoUploads:      "Noch keine Uploads.",
		NoUploadsHint:  "Senden Sie eine Datei in Dino oder Gajim. Sie erscheint hier, sobald sie durch Holdfast läuft.",
		CopyLink:       "Link kopieren",
		Cancel:         "Abbrechen",
		TryNow:         "Jetzt versuchen",
		NoTrayHost:     "Diese Arbeitsfläche zeigt keine Symbole im Infobereich.",
		NoTrayHostHint: "Holdfast arbeitet trotzdem. Unter GNOME macht die Erweiterung AppIndicator das Symbol sichtbar.",
		NoBus:          "Es gibt keine Desktop-Sitzung und damit keinen Platz für ein Symbol. Verwenden Sie stattdessen holdfastctl run.",
		NoDisplay:      "Es gibt keinen Bildschirm für ein Fenster. Verwenden Sie stattdessen holdfastctl uploads.",
		StopAsk:        "Holdfast beenden? Uploads überstehen dann keinen Netzwechsel mehr.",
		StopAskUploads: "Holdfast beenden? Laufende Uploads: %d. Sie erhalten 10 Sekunden, um fertig zu werden.",
		QuitAsk:        "Holdfast läuft in diesem Symbol. Das Ausblenden beendet es auch, nach den laufenden Uploads.",
		ResetDone:      "%s wurde zurückgesetzt.",
		LastUpload:     "Letzter Upload: %s, %s %s",
		Window:         windowGerman(),
	}
}
