package words

// Welcome is what the first run says, page by page.
type Welcome struct {
	Title  string
	Item   string // menu and settings
	Step   string // %d page, %d of how many
	Back   string
	Next   string
	Cancel string
	Done   string

	ClientsHead  string
	ClientsLead  string
	ClientsNone  string
	ClientsAgain string

	ServerHead      string
	ServerLead      string
	ServerSuggested string
	ServerProbing   string // %s host
	ServerOurs      string // %s host
	ServerOther     string // %s host

	TrustHead    string
	TrustLead    string
	TrustApp     string
	TrustAppHint string
	TrustSystem  string
	TrustSysHint string
	TrustRefused string // %s why

	PlanHead    string
	PlanLead    string
	PlanNothing string
	PlanApply   string

	RestartHead string
	RestartLead string
	RestartOne  string // %s client
	RestartNone string
	RestartDone string // %s client

	SendHead    string
	SendLead    string // %s clients
	SendNone    string
	SendMissing string
	SendAll     string
}

func welcomeEnglish() Welcome {
	return Welcome{
		Title:  "Set up Holdfast",
		Item:   "Set up...",
		Step:   "Step %d of %d",
		Back:   "Back",
		Next:   "Next",
		Cancel: "Cancel",
		Done:   "Done",

		ClientsHead:  "Your clients",
		ClientsLead:  "Holdfast looks after file uploads of these programs.",
		ClientsNone:  "Neither Dino nor Gajim was found on this computer. Install one of them, then look again.",
		ClientsAgain: "Look again",

		ServerHead:      "Your upload server",
		ServerLead:      "The host in the links of files that you sent. Only connections to it are looked after; everything else passes by.",
		ServerSuggested: "From files that you sent before:",
		ServerProbing:   "Asking %s...",
		ServerOurs:      "%s runs holdfast-server: an upload goes on where it was cut, and permissions may be up to 72 hours late.",
		ServerOther:     "%s answers and proves who it is. An upload that is cut is sent again from the start, as long as its permission lives.",

		TrustHead:    "Trust",
		TrustLead:    "Between your client and Holdfast there is a certificate of Holdfast's own. It is good for this one upload server only, and the key that made it no longer exists.",
		TrustApp:     "Only Dino and Gajim (no password)",
		TrustAppHint: "The clients see it when they are started from the menu.",
		TrustSystem:  "For this computer (asks for the password)",
		TrustSysHint: "Every program on this computer trusts it, for this one name.",
		TrustRefused: "The certificate was not installed: %s",

		PlanHead:    "What will change",
		PlanLead:    "These files and settings, and nothing else. Everything can be undone.",
		PlanNothing: "Nothing needs to change.",
		PlanApply:   "Set up",

		RestartHead: "Start your clients afresh",
		RestartLead: "A client that runs already does not use Holdfast yet.",
		RestartOne:  "Restart %s",
		RestartNone: "No client is running. Start it from the menu of your desktop.",
		RestartDone: "%s was restarted.",

		SendHead:    "See it work",
		SendLead:    "Now send any small file to yourself in %s.",
		SendNone:    "Start Dino or Gajim from the menu of your desktop, then send any small file to yourself.",
		SendMissing: "Nothing has come through yet.",
		SendAll:     "Your uploads are protected. You can close this window.",
	}
}

func welcomeGerman() Welcome {
	return Welcome{
		Title:  "Holdfast einrichten",
		Item:   "Einrichten...",
		Step:   "Schritt %d von %d",
		Back:   "Zurück",
		Next:   "Weiter",
		Cancel: "Abbrechen",
		Done:   "Fertig",

		ClientsHead:  "Ihre Programme",
		ClientsLead:  "Holdfast kümmert sich um Datei-Uploads dieser Programme.",
		ClientsNone:  "Auf diesem Rechner wurde weder Dino noch Gajim gefunden. Installieren Sie eines davon und suchen Sie noch einmal.",
		ClientsAgain: "Noch einmal suchen",

		ServerHead:      "Ihr Upload-Server",
		ServerLead:      "Der Rechner in den Links gesendeter Dateien. Nur um Verbindungen dorthin kümmert sich Holdfast; alles andere läuft daran vorbei.",
		ServerSuggested: "Aus Dateien, die Sie gesendet haben:",
		ServerProbing:   "%s wird gefragt...",
		ServerOurs:      "%s betreibt holdfast-server: Ein Upload geht weiter, wo er abriss, und Erlaubnisse dürfen bis zu 72 Stunden alt sein.",
		ServerOther:     "%s antwortet und weist sich aus. Ein Upload, der abriss, wird von vorn gesendet, solange seine Erlaubnis gilt.",

		TrustHead:    "Vertrauen",
		TrustLead:    "Zwischen Programm und Holdfast steht ein Zertifikat von Holdfast. Es gilt nur für diesen einen Upload-Server, und den Schlüssel, der es ausstellte, gibt es nicht mehr.",
		TrustApp:     "Nur Dino und Gajim (ohne Passwort)",
		TrustAppHint: "Die Programme sehen es, wenn sie aus dem Menü gestartet werden.",
		TrustSystem:  "Für diesen Rechner (fragt nach dem Passwort)",
		TrustSysHint: "Jedes Programm auf diesem Rechner vertraut ihm, für diesen einen Namen.",
		TrustRefused: "Das Zertifikat wurde nicht installiert: %s",

		PlanHead:    "Was sich ändert",
		PlanLead:    "Diese Dateien und Einstellungen, sonst nichts. Alles lässt sich rückgängig machen.",
		PlanNothing: "Es muss sich nichts ändern.",
		PlanApply:   "Einrichten",

		RestartHead: "Programme neu starten",
		RestartLead: "Ein Programm, das schon läuft, benutzt Holdfast noch nicht.",
		RestartOne:  "%s neu starten",
		RestartNone: "Kein Programm läuft. Starten Sie es aus dem Menü Ihrer Arbeitsfläche.",
		RestartDone: "%s wurde neu gestartet.",

		SendHead:    "Sehen, wie es geht",
		SendLead:    "Senden Sie jetzt irgendeine kleine Datei an sich selbst, in %s.",
		SendNone:    "Starten Sie Dino oder Gajim aus dem Menü Ihrer Arbeitsfläche und senden Sie eine kleine Datei an sich selbst.",
		SendMissing: "Noch ist nichts angekommen.",
		SendAll:     "Ihre Uploads sind geschützt. Sie können dieses Fenster schließen.",
	}
}
