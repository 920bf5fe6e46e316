package words

// Setup is what is said about trusting, routing and starting clients.
type Setup struct {
	TrustNot       string // %s host, %s file
	TrustApp       string // %s host, %s file
	TrustSystem    string // %s host, %s file
	NoBubblewrap   string
	BundleReason   string
	BundleGone     string
	SystemReason   string // %s host
	SystemGone     string // %s host
	WouldDo        string
	Step           string // %s path, %s reason
	NothingToDo    string
	TrustDoneApp   string
	TrustDoneAll   string
	TrustRemoved   string
	RestartClients string
	HelperRoot     string
	HelperOwner    string // %s program
	HelperInput    string // %s why
	HelperUID      string
	HelperDone     string // %s host
	HelperGone     string // %s host
	NoPkexec       string // %s command
	AdminRefused   string
	LaunchBypassed string // %s client
	LaunchRestart  string // %s client
	LaunchNoTrust  string // %s client
	RouteTrust     string
	RouteTrustAll  string
	RouteNoScript  string
	RouteInstalled string // %s ways
	RouteUnknown   string
	RouteStale     string
	RouteOwnProxy  string
	RouteRunning   string
	RouteUnclean   string
	RouteNothing   string
	RouteDone      string // %s way
	RouteRemoved   string // %s way
	SuggestNone    string
	SuggestNew     string // %s host, %d files, %s clients
	SuggestListed  string // %s host, %d files, %s clients
	LoginGone      string
	SecretGone     string
	Uninstalled    string
	StillRuns      string
	Reason         RouteReason
}

// RouteReason is why a file or a setting of a route changes.
type RouteReason struct {
	Folder, Entry, Service, Script, Setting, Gajim, Sandbox   string
	Before, Made, Changed, Needed, Unusual, Original, Unknown string
}

// RouteReason words a reason of a route.
func (w *Words) RouteReason(code string) string {
	r := w.Setup.Reason
	text, ok := map[string]string{
		"folder": r.Folder, "entry": r.Entry, "service": r.Service, "script": r.Script, "setting": r.Setting, "gajim": r.Gajim, "sandbox": r.Sandbox,
		"before": r.Before, "made": r.Made, "changed": r.Changed, "needed": r.Needed, "unusual": r.Unusual, "original": r.Original,
	}[code]
	if !ok {
		return r.Unknown
	}
	return text
}

func setupEnglish() Setup {
	return Setup{
		TrustNot:       "%s: no client trusts it yet. To change that: holdfastctl trust install. Certificate: %s",
		TrustApp:       "%s: trusted by Dino and Gajim when they are started from the menu or with holdfastctl launch. Certificate: %s",
		TrustSystem:    "%s: trusted by all programs of this computer. Certificate: %s",
		NoBubblewrap:   "Without being admin this needs bubblewrap, and it is missing or people may not use it here. Install it (Debian: apt install bubblewrap), or use: holdfastctl trust install --system",
		BundleReason:   "the system's certificates and those of your upload servers, only for clients that Holdfast starts",
		BundleGone:     "removed; clients no longer trust Holdfast",
		SystemReason:   "%s is trusted by all programs of this computer; asks for the password",
		SystemGone:     "removed; %s is no longer trusted; asks for the password",
		WouldDo:        "Nothing was changed. This would be done:",
		Step:           "%s: %s",
		NothingToDo:    "There is nothing to do.",
		TrustDoneApp:   "Dino and Gajim trust Holdfast when they are started from the menu or with holdfastctl launch. No other program does.",
		TrustDoneAll:   "All programs of this computer trust Holdfast for your upload servers.",
		TrustRemoved:   "Nothing on this computer trusts Holdfast any longer.",
		RestartClients: "Clients that run must be started again.",
		HelperRoot:     "this command is for the admin: holdfastctl trust install --system asks for the password and runs it",
		HelperOwner:    "%s can be changed by others than the admin, so it is not run as the admin. Install Holdfast as a package.",
		HelperInput:    "the certificate cannot be read from standard input: %s",
		HelperUID:      "it is not known for whom this is done; run it with pkexec or sudo",
		HelperDone:     "%s is trusted by this computer.",
		HelperGone:     "%s is no longer trusted by this computer.",
		NoPkexec:       "pkexec is not installed, so the password cannot be asked for. As the admin run: %s",
		AdminRefused:   "The admin's password was not given, or the change was refused.",
		LaunchBypassed: "%s is started without Holdfast, because Holdfast does not answer. Uploads go directly.",
		LaunchRestart:  "%s is running without Holdfast already. Quit it and start it again to use Holdfast.",
		LaunchNoTrust:  "%s is started without Holdfast, because it does not trust it yet. To change that: holdfastctl trust install",
		RouteTrust:     "Clients do not trust Holdfast yet, so they will start without it until: holdfastctl trust install",
		RouteTrustAll:  "This way needs the certificates to be trusted by all programs, or uploads will not work: holdfastctl trust install --system",
		RouteNoScript:  "No proxy script can be run here, so all encrypted traffic of programs that follow the desktop's setting passes through Holdfast, and stops while it does not run.",
		RouteInstalled: "Clients find Holdfast this way: %s. These were changed:",
		RouteUnknown:   "There is no such way; launcher, gnome, gajim and flatpak are.",
		RouteStale:     "Something has changed since this was planned. Look at a new plan.",
		RouteOwnProxy:  "You have set a proxy of your own there, so Holdfast changes nothing.",
		RouteRunning:   "Quit Gajim first; it would write its settings over the change.",
		RouteUnclean:   "Gajim did not end cleanly. Start it and quit it, then try again.",
		RouteNothing:   "There is nothing here that this way could change.",
		RouteDone:      "Installed: %s. To undo it: holdfastctl route remove",
		RouteRemoved:   "Removed: %s. Everything is as it was before.",
		SuggestNone:    "No upload server was found in the histories of Dino and Gajim. It is the host in the link of a file that you sent.",
		SuggestNew:     "%s (%d files sent with %s)",
		SuggestListed:  "%s (%d files sent with %s), in the list already",
		LoginGone:      "removed; Holdfast is not started at login",
		SecretGone:     "all secrets of Holdfast in the keyring: removed",
		Uninstalled:    "Holdfast has undone what it changed. What reset moved aside stays for its 14 days.",
		StillRuns:      "Holdfast is still running. To stop it: holdfastctl stop",
		Reason: RouteReason{
			Folder: "a folder for what follows", Entry: "the menu starts the client with Holdfast", Service: "so does a program that asks for the client",
			Script: "starts the client with Holdfast, or without it when it was removed", Setting: "programs of this desktop ask Holdfast for uploads",
			Gajim: "all accounts of Gajim use Holdfast as their proxy", Sandbox: "the sandbox tells the client of Holdfast",
			Before: "as it was before", Made: "Holdfast made it", Changed: "somebody changed it since, so only what is ours is touched",
			Needed: "something that was changed since starts it", Unusual: "its command is not understood, so it stays as it is",
			Original: "the client was removed", Unknown: "see the documentation",
		},
	}
}

func setupGerman() Setup {
	return Setup{
		TrustNot:       "%s: noch vertraut ihm kein Programm. Ändern mit: holdfastctl trust install. Zertifikat: %s",
		TrustApp:       "%s: Dino und Gajim vertrauen ihm, wenn sie aus dem Menü oder mit holdfastctl launch gestartet werden. Zertifikat: %s",
		TrustSystem:    "%s: alle Programme dieses Computers vertrauen ihm. Zertifikat: %s",
		NoBubblewrap:   "Ohne Verwalterrechte braucht es dafür bubblewrap; das fehlt oder darf hier nicht benutzt werden. Installieren Sie es (Debian: apt install bubblewrap), oder: holdfastctl trust install --system",
		BundleReason:   "die Zertifikate des Systems und die Ihrer Upload-Server, nur für Programme, die Holdfast startet",
		BundleGone:     "wird entfernt; Programme vertrauen Holdfast dann nicht mehr",
		SystemReason:   "alle Programme dieses Computers vertrauen %s; fragt nach dem Passwort",
		SystemGone:     "wird entfernt; %s gilt dann nicht mehr als vertraut; fragt nach dem Passwort",
		WouldDo:        "Es wurde nichts geändert. Dies geschähe:",
		Step:           "%s: %s",
		NothingToDo:    "Es ist nichts zu tun.",
		TrustDoneApp:   "Dino und Gajim vertrauen Holdfast, wenn sie aus dem Menü oder mit holdfastctl launch gestartet werden. Sonst vertraut ihm kein Programm.",
		TrustDoneAll:   "Alle Programme dieses Computers vertrauen Holdfast für Ihre Upload-Server.",
		TrustRemoved:   "Nichts auf diesem Computer vertraut Holdfast noch.",
		RestartClients: "Laufende Programme müssen neu gestartet werden.",
		HelperRoot:     "dieser Befehl ist für den Verwalter: holdfastctl trust install --system fragt nach dem Passwort und ruft ihn auf",
		HelperOwner:    "%s kann von anderen als dem Verwalter geändert werden und läuft darum nicht mit seinen Rechten. Installieren Sie Holdfast als Paket.",
		HelperInput:    "das Zertifikat ist nicht von der Standardeingabe lesbar: %s",
		HelperUID:      "es ist nicht bekannt, für wen dies geschieht; rufen Sie es mit pkexec oder sudo auf",
		HelperDone:     "Dieser Computer vertraut %s.",
		HelperGone:     "Dieser Computer vertraut %s nicht mehr.",
		NoPkexec:       "pkexec ist nicht installiert, darum kann nicht nach dem Passwort gefragt werden. Als Verwalter: %s",
		AdminRefused:   "Das Passwort des Verwalters wurde nicht gegeben, oder die Änderung wurde abgelehnt.",
		LaunchBypassed: "%s wird ohne Holdfast gestartet, denn Holdfast antwortet nicht. Uploads gehen direkt.",
		LaunchRestart:  "%s läuft schon ohne Holdfast. Beenden und starten Sie es neu, um Holdfast zu benutzen.",
		LaunchNoTrust:  "%s wird ohne Holdfast gestartet, denn es vertraut ihm noch nicht. Ändern mit: holdfastctl trust install",
		RouteTrust:     "Noch vertrauen die Programme Holdfast nicht und starten ohne es, bis zu: holdfastctl trust install",
		RouteTrustAll:  "Dafür müssen alle Programme den Zertifikaten vertrauen, sonst gehen Uploads nicht: holdfastctl trust install --system",
		RouteNoScript:  "Hier lässt sich kein Proxy-Skript ausführen. Darum läuft aller verschlüsselte Verkehr von Programmen, die der Einstellung folgen, durch Holdfast und steht still, wenn es nicht läuft.",
		RouteInstalled: "Programme finden Holdfast so: %s. Geändert wurden:",
		RouteUnknown:   "Diesen Weg gibt es nicht; es gibt launcher, gnome, gajim und flatpak.",
		RouteStale:     "Seit der Planung hat sich etwas geändert. Sehen Sie sich einen neuen Plan an.",
		RouteOwnProxy:  "Dort ist schon ein eigener Proxy eingetragen, darum ändert Holdfast nichts.",
		RouteRunning:   "Beenden Sie zuerst Gajim; es würde seine Einstellungen über die Änderung schreiben.",
		RouteUnclean:   "Gajim wurde nicht sauber beendet. Starten und beenden Sie es, dann noch einmal.",
		RouteNothing:   "Hier ist nichts, was dieser Weg ändern könnte.",
		RouteDone:      "Eingerichtet: %s. Rückgängig machen: holdfastctl route remove",
		RouteRemoved:   "Entfernt: %s. Alles ist, wie es vorher war.",
		SuggestNone:    "In den Verläufen von Dino und Gajim steht kein Upload-Server. Es ist der Rechner im Link einer Datei, die Sie gesendet haben.",
		SuggestNew:     "%s (%d Dateien gesendet mit %s)",
		SuggestListed:  "%s (%d Dateien gesendet mit %s), schon eingetragen",
		LoginGone:      "wird entfernt; Holdfast startet nicht mehr beim Anmelden",
		SecretGone:     "alle Geheimnisse von Holdfast im Schlüsselbund: werden entfernt",
		Uninstalled:    "Holdfast hat rückgängig gemacht, was es geändert hat. Was reset beiseitegelegt hat, bleibt seine 14 Tage.",
		StillRuns:      "Holdfast läuft noch. Beenden mit: holdfastctl stop",
		Reason: RouteReason{
			Folder: "ein Ordner für das Folgende", Entry: "das Menü startet das Programm mit Holdfast", Service: "ebenso andere Programme, die es aufrufen",
			Script: "startet das Programm mit Holdfast, oder ohne, wenn es entfernt wurde", Setting: "Programme dieses Desktops fragen für Uploads Holdfast",
			Gajim: "alle Konten von Gajim benutzen Holdfast als Proxy", Sandbox: "die Sandbox sagt dem Programm von Holdfast",
			Before: "wie es vorher war", Made: "Holdfast hat es angelegt", Changed: "seither geändert, darum wird nur das Unsere berührt",
			Needed: "etwas seither Geändertes startet es", Unusual: "der Befehl ist nicht verständlich, darum bleibt es, wie es ist",
			Original: "das Programm wurde entfernt", Unknown: "siehe die Dokumentation",
		},
	}
}
