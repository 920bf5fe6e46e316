package words

// Views is what the windows beside the list of uploads say: network check, settings, about.
type Views struct {
	CheckTitle   string
	CheckAgain   string
	CheckCopy    string
	CheckCopied  string
	Checking     string
	CheckAllGood string
	CheckSome    string // %d findings
	CheckNotNow  string // the companion is not running
	CheckItem    string // menu

	SettingsTitle string
	SettingsItem  string // menu
	Behaviour     string // heading
	AutoFixHint   string
	Servers       string // heading
	ServersHint   string
	ServerHolder  string // in the empty field
	Add           string
	Remove        string
	NoServers     string
	Added         string // %s host
	Removed       string // %s host
	Clients       string // heading
	NoClients     string
	SettingsOff   string // the companion is not running
	ConfigFile    string

	AboutTitle   string
	AboutItem    string // button
	AboutVersion string // %s version
	AboutWhat    string
	AboutPrivacy string
	AboutLicence string

	PauseOpen string // menu: until resumed
	Close     string
}

func viewsEnglish() Views {
	return Views{
		CheckTitle:   "Network check",
		CheckAgain:   "Check again",
		CheckCopy:    "Copy findings",
		CheckCopied:  "The findings are in the clipboard. They name your upload servers, but no files, accounts or permissions.",
		Checking:     "Checking...",
		CheckAllGood: "Everything is as it should be.",
		CheckSome:    "Things to look at: %d.",
		CheckNotNow:  "Start Holdfast to check the network.",
		CheckItem:    "Network check...",

		SettingsTitle: "Settings",
		SettingsItem:  "Settings...",
		Behaviour:     "What Holdfast does by itself",
		AutoFixHint:   "Waiting uploads go on the moment a network is back. Without it they are still repeated, with longer and longer pauses.",
		Servers:       "Upload servers",
		ServersHint:   "The host in the links of files that you sent. Only connections to these hosts are looked after; everything else passes by.",
		ServerHolder:  "upload.example.org",
		Add:           "Add",
		Remove:        "Remove",
		NoServers:     "No upload server yet.",
		Added:         "%s is looked after now.",
		Removed:       "%s is no longer looked after.",
		Clients:       "Your clients",
		NoClients:     "Neither Dino nor Gajim was found on this computer.",
		SettingsOff:   "Start Holdfast to change its settings.",
		ConfigFile:    "All of this is also in config.toml; changes there count within two seconds.",

		AboutTitle:   "About Holdfast",
		AboutItem:    "About Holdfast...",
		AboutVersion: "Version %s",
		AboutWhat:    "Keeps file uploads over XMPP working when your notebook restarts, sleeps or changes network.",
		AboutPrivacy: "Holdfast sends nothing to anybody but your own upload servers. Files on their way lie on this computer only as long as the upload runs.",
		AboutLicence: "Apache License 2.0",

		PauseOpen: "Pause until resumed",
		Close:     "Close",
	}
}

func viewsGerman() Views {
	return Views{
		CheckTitle:   "Netzprüfung",
		CheckAgain:   "Noch einmal prüfen",
		CheckCopy:    "Ergebnis kopieren",
		CheckCopied:  "Das Ergebnis ist in der Zwischenablage. Es nennt Ihre Upload-Server, aber keine Dateien, Konten oder Erlaubnisse.",
		Checking:     "Es wird geprüft...",
		CheckAllGood: "Alles ist, wie es sein soll.",
		CheckSome:    "Zu beachten: %d.",
		CheckNotNow:  "Starten Sie Holdfast, um das Netz zu prüfen.",
		CheckItem:    "Netzprüfung...",

		SettingsTitle: "Einstellungen",
		SettingsItem:  "Einstellungen...",
		Behaviour:     "Was Holdfast von selbst tut",
		AutoFixHint:   "Wartende Uploads gehen weiter, sobald wieder ein Netz da ist. Sonst werden sie auch wiederholt, aber mit immer längeren Pausen.",
		Servers:       "Upload-Server",
		ServersHint:   "Der Rechner in den Links gesendeter Dateien. Nur um Verbindungen dorthin kümmert sich Holdfast; alles andere läuft daran vorbei.",
		ServerHolder:  "upload.example.org",
		Add:           "Hinzufügen",
		Remove:        "Entfernen",
		NoServers:     "Noch kein Upload-Server.",
		Added:         "Holdfast kümmert sich jetzt um %s.",
		Removed:       "Holdfast kümmert sich nicht mehr um %s.",
		Clients:       "Ihre Programme",
		NoClients:     "Auf diesem Rechner wurde weder Dino noch Gajim gefunden.",
		SettingsOff:   "Starten Sie Holdfast, um die Einstellungen zu ändern.",
		ConfigFile:    "All das steht auch in config.toml; Änderungen dort gelten nach spätestens zwei Sekunden.",

		AboutTitle:   "Über Holdfast",
		AboutItem:    "Über Holdfast...",
		AboutVersion: "Version %s",
		AboutWhat:    "Lässt Datei-Uploads über XMPP weiterlaufen, wenn Ihr Notebook neu startet, schläft oder das Netz wechselt.",
		AboutPrivacy: "Holdfast sendet nichts an irgendwen außer an Ihre eigenen Upload-Server. Dateien liegen nur auf diesem Rechner, solange ihr Upload läuft.",
		AboutLicence: "Apache-Lizenz 2.0",

		PauseOpen: "Bis auf Weiteres pausieren",
		Close:     "Schließen",
	}
}
