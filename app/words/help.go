package words

// Help is what `holdfastctl --help` and `holdfastctl VERB --help` print.
type Help struct {
	Intro  string
	Exits  string
	More   string
	Usage  string // label
	Sample string // label
	Verbs  []Verb // in the order of the overview
}

// Verb is the help of one command.
type Verb struct {
	Name    string
	Usage   string // without the program's name
	Summary string // one line, no full stop
	Text    string
	Example string // one or more lines that can be typed
}

// Verb finds the help of one command.
func (h Help) Verb(name string) (Verb, bool) {
	for _, v := range h.Verbs {
		if v.Name == name {
			return v, true
		}
	}
	return Verb{}, false
}

func helpEnglish() Help {
	return Help{
		Intro:  "holdfastctl keeps file uploads in Dino and Gajim working when the network changes.",
		Exits:  "Exit codes: 0 done, 1 it did not work, 2 wrong arguments, 3 Holdfast is not running, 4 Holdfast is running already.",
		More:   "holdfastctl COMMAND --help explains a command with an example.",
		Usage:  "Usage",
		Sample: "Example",
		Verbs: []Verb{
			{"run", "run [-config FILE] [-verbose]", "be the companion, without a screen",
				"Runs the relay and everything around it until it is stopped with Ctrl-C, SIGTERM or holdfastctl stop. Only one companion runs per person. All settings are in config.toml. -verbose logs every attempt, too.",
				"holdfastctl run"},
			{"status", "status [--json]", "say how things stand",
				"Shows the state of a running companion and never starts one. With --json it prints the whole state as one JSON document.",
				"holdfastctl status\nholdfastctl status --json"},
			{"reset", "reset [--client dino|gajim] [--dry-run] [--backup] [--undo ID] [--json]", "start a client afresh without its cache",
				"Quits the client, moves the part of its cache that it can rebuild aside, and starts it again as it was. Messages, keys, accounts and files are never touched. What was moved is kept for 14 days and can be put back with --undo. --dry-run only shows what would be done. --backup first copies the databases of the client, while it does not run, into the state folder of Holdfast.",
				"holdfastctl reset --client gajim --dry-run\nholdfastctl reset --client gajim"},
			{"autofix", "autofix on|off", "let Holdfast act by itself, or not",
				"With auto-fix on, waiting uploads go on the moment a network is back. With auto-fix off they are still repeated, with longer and longer pauses. A Dino that has lost its upload server is restarted after a notice of 30 seconds, if no upload and no call is lost by it.",
				"holdfastctl autofix off"},
			{"pause", "pause [DURATION]", "do nothing by itself for a while",
				"Like auto-fix off, but it ends by itself after the duration, or with holdfastctl resume when there is none. Uploads still pass through.",
				"holdfastctl pause 15m"},
			{"resume", "resume", "end a pause",
				"Ends a pause and makes up for what was missed.",
				"holdfastctl resume"},
			{"uploads", "uploads [--json] [--limit N]", "list running and past uploads",
				"Newest first, running ones before. At most 200 past uploads are kept.",
				"holdfastctl uploads --limit 5"},
			{"cancel", "cancel ID", "end a running upload",
				"The client is told that the upload did not work. The ID is in holdfastctl uploads.",
				"holdfastctl cancel 4f2a9c"},
			{"try", "try ID", "try a waiting upload now",
				"Does not wait for the next attempt. The ID is in holdfastctl uploads.",
				"holdfastctl try 4f2a9c"},
			{"hosts", "hosts [list|suggest|add HOST|remove HOST] [--json]", "choose the upload servers that Holdfast takes care of",
				"The upload server is the host in the links of files you sent, often upload.example.org. A port is only needed when it is not 443. suggest looks for it in the histories of Dino and Gajim and adds nothing. The list shows where the certificate of each is, for programs that have to be told whom to trust.",
				"holdfastctl hosts add upload.example.org\nholdfastctl hosts list"},
			{"pac", "pac", "print the proxy script",
				"Prints the script that sends uploads to Holdfast and everything else directly. A running companion also serves it at http://127.0.0.1:5380/proxy.pac.",
				"holdfastctl pac"},
			{"trust", "trust status [--json] | trust install [--system] [--dry-run] | trust remove [--dry-run]", "have clients trust Holdfast for your upload servers",
				"Each upload server has a certificate of its own that is good for this one name only, and whose key no longer exists. Without --system only Dino and Gajim trust it, when they are started from the menu or with holdfastctl launch, and no password is asked for. With --system all programs of this computer do; that asks for the admin's password. remove undoes both. --dry-run only shows which files would change.",
				"holdfastctl trust install --dry-run\nholdfastctl trust install"},
			{"route", "route status|install|remove [launcher|gnome|gajim|flatpak] [--dry-run] [--json]", "have clients find Holdfast by themselves",
				"launcher (the usual way): the menu starts Dino and Gajim with holdfastctl launch, and without Holdfast when it was removed. gnome: the proxy setting of the desktop, only if you have none of your own. gajim: Gajim's own proxy, only while it is not running. flatpak: variables for sandboxed clients. What was there before is kept; remove brings it back, and without a way it removes all. --dry-run only shows each file and setting that would change.",
				"holdfastctl route install --dry-run\nholdfastctl route install"},
			{"launch", "launch dino|gajim [--dry-run] [-- ARGUMENTS]", "start a client with Holdfast",
				"Starts Dino or Gajim so that its uploads go through Holdfast, and Holdfast itself if it does not run. Should Holdfast not answer within 3 seconds, or the client not trust it, the client starts without it, and that is said. A client that runs already is only brought to the front. Signals and the exit code are passed on. --dry-run only shows what would be run.",
				"holdfastctl launch gajim\nholdfastctl launch dino -- xmpp:friend@example.org"},
			{"diagnose", "diagnose [--json] [--out FILE]", "check what is missing",
				"Checks interfaces, routes, nameservers, relay, keyring, clients and each upload server over each network, with its certificate and clock, and says what to do about each thing that does not work. It works without a running companion, too, and takes up to 20 seconds. --out writes a report for a bug report, without accounts, file names and permissions. Exit code 1 if something does not work.",
				"holdfastctl diagnose\nholdfastctl diagnose --out report.json"},
			{"device", "device status [--json] | device add HOST | device remove HOST", "let an upload server know this computer",
				"With holdfast-server, this computer can be a device of yours: a key in the keyring that proves who sends an upload that comes hours late. It becomes one by itself with the first upload, or, where the admin wants that, with a code, which is read from standard input. status shows which servers know it, remove forgets the key.",
				"holdfastctl device status\nholdfastctl device add upload.example.org < code.txt"},
			{"secret", "secret set HOST [-scheme jwt|v2] [-prefix /upload/] | secret remove HOST", "renew permissions for a server that you run",
				"If you run the upload server yourself, Holdfast can renew a permission that became too old while the network was away. For that it needs the secret that server and upload server share. It is read from standard input, never from the command line, and kept in the keyring only.",
				"holdfastctl secret set upload.example.org < secret.txt"},
			{"stop", "stop", "stop the companion",
				"Running uploads get 10 seconds to finish.",
				"holdfastctl stop"},
			{"completion", "completion bash|zsh|fish", "print a script that completes commands in a shell",
				"The packages install these scripts. Without a package, put the output where your shell looks for it, or evaluate it.",
				"eval \"$(holdfastctl completion bash)\"\nholdfastctl completion fish > ~/.config/fish/completions/holdfastctl.fish"},
			{"uninstall", "uninstall [--dry-run]", "undo everything that Holdfast changed for you",
				"Removes the ways of clients to Holdfast, the trust in its certificates (asks for the password if all programs trust it), the start at login, and its secrets in the keyring. What was moved aside by reset stays for its 14 days. Afterwards the package can be removed.",
				"holdfastctl uninstall --dry-run"},
			{"version", "version", "print the version", "", "holdfastctl version"},
			{"help", "help [COMMAND|--man]", "explain a command", "With --man it prints the page of the manual.", "holdfastctl help reset"},
		},
	}
}

func helpGerman() Help {
	return Help{
		Intro:  "holdfastctl lässt Datei-Uploads in Dino und Gajim weiterlaufen, wenn das Netz wechselt.",
		Exits:  "Rückgabewerte: 0 erledigt, 1 es ging nicht, 2 falsche Argumente, 3 Holdfast läuft nicht, 4 Holdfast läuft schon.",
		More:   "holdfastctl BEFEHL --help erklärt einen Befehl mit einem Beispiel.",
		Usage:  "Aufruf",
		Sample: "Beispiel",
		Verbs: []Verb{
			{"run", "run [-config FILE] [-verbose]", "den Begleiter ohne Bildschirm starten",
				"Startet das Relay und alles, was dazugehört, bis Strg-C, SIGTERM oder holdfastctl stop. Je Person läuft nur ein Begleiter. Alle Einstellungen stehen in config.toml. -verbose protokolliert auch jeden Versuch.",
				"holdfastctl run"},
			{"status", "status [--json]", "sagen, wie es steht",
				"Zeigt den Zustand eines laufenden Begleiters und startet nie einen. Mit --json erscheint der ganze Zustand als ein JSON-Dokument.",
				"holdfastctl status\nholdfastctl status --json"},
			{"reset", "reset [--client dino|gajim] [--dry-run] [--backup] [--undo ID] [--json]", "ein Programm ohne Zwischenspeicher neu starten",
				"Beendet das Programm, legt den Teil seines Zwischenspeichers beiseite, den es neu aufbauen kann, und startet es wieder, wie es war. Nachrichten, Schlüssel, Konten und Dateien bleiben unberührt. Das Beiseitegelegte bleibt 14 Tage und kommt mit --undo zurück. --dry-run zeigt nur, was geschähe. --backup kopiert zuerst die Datenbanken des Programms, während es nicht läuft, in den Zustandsordner von Holdfast.",
				"holdfastctl reset --client gajim --dry-run\nholdfastctl reset --client gajim"},
			{"autofix", "autofix on|off", "Holdfast selbst handeln lassen oder nicht",
				"Ist es an, gehen wartende Uploads weiter, sobald wieder ein Netz da ist. Ist es aus, werden sie auch wiederholt, aber mit immer längeren Pausen. Ein Dino, das seinen Upload-Server verloren hat, wird nach einem Hinweis von 30 Sekunden neu gestartet, wenn dabei kein Upload und kein Anruf verloren geht.",
				"holdfastctl autofix off"},
			{"pause", "pause [DURATION]", "eine Weile nichts von selbst tun",
				"Wie autofix off, endet aber von selbst nach der Dauer, oder ohne Dauer mit holdfastctl resume. Uploads laufen weiter hindurch.",
				"holdfastctl pause 15m"},
			{"resume", "resume", "eine Pause beenden",
				"Beendet eine Pause und holt nach, was liegen blieb.",
				"holdfastctl resume"},
			{"uploads", "uploads [--json] [--limit N]", "laufende und vergangene Uploads zeigen",
				"Die neuesten zuerst, laufende davor. Höchstens 200 vergangene Uploads bleiben erhalten.",
				"holdfastctl uploads --limit 5"},
			{"cancel", "cancel ID", "einen laufenden Upload abbrechen",
				"Das Programm erfährt, dass der Upload nicht geklappt hat. Die ID steht in holdfastctl uploads.",
				"holdfastctl cancel 4f2a9c"},
			{"try", "try ID", "einen wartenden Upload jetzt versuchen",
				"Wartet nicht auf den nächsten Versuch. Die ID steht in holdfastctl uploads.",
				"holdfastctl try 4f2a9c"},
			{"hosts", "hosts [list|suggest|add HOST|remove HOST] [--json]", "die Upload-Server wählen, um die sich Holdfast kümmert",
				"Der Upload-Server ist der Rechner in den Links gesendeter Dateien, oft upload.example.org. Ein Port ist nur nötig, wenn er nicht 443 ist. suggest sucht ihn in den Verläufen von Dino und Gajim und trägt nichts ein. Die Liste zeigt, wo das Zertifikat eines jeden liegt, für Programme, denen man sagen muss, wem sie vertrauen.",
				"holdfastctl hosts add upload.example.org\nholdfastctl hosts list"},
			{"pac", "pac", "das Proxy-Skript ausgeben",
				"Gibt das Skript aus, das Uploads zu Holdfast schickt und alles andere direkt. Ein laufender Begleiter bietet es auch unter http://127.0.0.1:5380/proxy.pac an.",
				"holdfastctl pac"},
			{"trust", "trust status [--json] | trust install [--system] [--dry-run] | trust remove [--dry-run]", "Programme Holdfast für Ihre Upload-Server vertrauen lassen",
				"Jeder Upload-Server hat ein eigenes Zertifikat, das nur für diesen einen Namen gilt und dessen Schlüssel es nicht mehr gibt. Ohne --system vertrauen ihm nur Dino und Gajim, wenn sie aus dem Menü oder mit holdfastctl launch gestartet werden; ein Passwort braucht es nicht. Mit --system vertrauen ihm alle Programme dieses Computers; das fragt nach dem Passwort des Verwalters. remove macht beides rückgängig. --dry-run zeigt nur, welche Dateien sich änderten.",
				"holdfastctl trust install --dry-run\nholdfastctl trust install"},
			{"route", "route status|install|remove [launcher|gnome|gajim|flatpak] [--dry-run] [--json]", "Programme Holdfast von selbst finden lassen",
				"launcher (der übliche Weg): das Menü startet Dino und Gajim mit holdfastctl launch, und ohne Holdfast, wenn es entfernt wurde. gnome: die Proxy-Einstellung des Desktops, nur wenn keine eigene gesetzt ist. gajim: Gajims eigener Proxy, nur solange es nicht läuft. flatpak: Variablen für Programme in der Sandbox. Was vorher da war, wird aufgehoben; remove bringt es zurück, und ohne einen Weg entfernt es alle. --dry-run zeigt nur jede Datei und Einstellung, die sich änderte.",
				"holdfastctl route install --dry-run\nholdfastctl route install"},
			{"launch", "launch dino|gajim [--dry-run] [-- ARGUMENTS]", "ein Programm mit Holdfast starten",
				"Startet Dino oder Gajim so, dass Uploads durch Holdfast laufen, und Holdfast selbst, falls es nicht läuft. Antwortet Holdfast nicht binnen 3 Sekunden oder vertraut ihm das Programm nicht, startet das Programm ohne Holdfast, und das wird gesagt. Ein laufendes Programm kommt nur nach vorn. Signale und Rückgabewert werden weitergereicht. --dry-run zeigt nur, was gestartet würde.",
				"holdfastctl launch gajim\nholdfastctl launch dino -- xmpp:freund@example.org"},
			{"diagnose", "diagnose [--json] [--out FILE]", "prüfen, was fehlt",
				"Prüft Schnittstellen, Routen, Namensserver, Relay, Schlüsselbund, Programme und jeden Upload-Server über jedes Netz, mit Zertifikat und Uhr, und sagt zu allem, was nicht geht, was zu tun ist. Es geht auch ohne laufenden Begleiter und dauert bis zu 20 Sekunden. --out schreibt einen Bericht für eine Fehlermeldung, ohne Konten, Dateinamen und Erlaubnisse. Rückgabewert 1, wenn etwas nicht geht.",
				"holdfastctl diagnose\nholdfastctl diagnose --out report.json"},
			{"device", "device status [--json] | device add HOST | device remove HOST", "diesen Computer einem Upload-Server bekannt machen",
				"Bei holdfast-server kann dieser Computer Ihr Gerät sein: ein Schlüssel im Schlüsselbund beweist, wer einen Upload sendet, der Stunden zu spät kommt. Er wird es beim ersten Upload von selbst oder, wo der Betreiber das will, mit einem Code, der von der Standardeingabe gelesen wird. status zeigt, welche Server ihn kennen, remove vergisst den Schlüssel.",
				"holdfastctl device status\nholdfastctl device add upload.example.org < code.txt"},
			{"secret", "secret set HOST [-scheme jwt|v2] [-prefix /upload/] | secret remove HOST", "Erlaubnisse für einen eigenen Server erneuern",
				"Betreiben Sie den Upload-Server selbst, kann Holdfast eine Erlaubnis erneuern, die zu alt wurde, während das Netz fehlte. Dafür braucht es das Geheimnis, das Server und Upload-Server teilen. Es wird von der Standardeingabe gelesen, nie von der Befehlszeile, und liegt nur im Schlüsselbund.",
				"holdfastctl secret set upload.example.org < secret.txt"},
			{"stop", "stop", "den Begleiter beenden",
				"Laufende Uploads erhalten 10 Sekunden, um fertig zu werden.",
				"holdfastctl stop"},
			{"completion", "completion bash|zsh|fish", "ein Skript ausgeben, das Befehle in der Shell ergänzt",
				"Die Pakete installieren diese Skripte. Ohne Paket gehört die Ausgabe dorthin, wo Ihre Shell sie sucht, oder wird ausgeführt.",
				"eval \"$(holdfastctl completion bash)\"\nholdfastctl completion fish > ~/.config/fish/completions/holdfastctl.fish"},
			{"uninstall", "uninstall [--dry-run]", "alles rückgängig machen, was Holdfast für Sie geändert hat",
				"Entfernt die Wege der Programme zu Holdfast, das Vertrauen in seine Zertifikate (fragt nach dem Passwort, wenn alle Programme ihm vertrauen), den Start beim Anmelden und seine Geheimnisse im Schlüsselbund. Was reset beiseitegelegt hat, bleibt seine 14 Tage. Danach kann das Paket entfernt werden.",
				"holdfastctl uninstall --dry-run"},
			{"version", "version", "die Version ausgeben", "", "holdfastctl version"},
			{"help", "help [COMMAND|--man]", "einen Befehl erklären", "Mit --man erscheint die Seite des Handbuchs.", "holdfastctl help reset"},
		},
	}
}
