package words

// Ctl is what holdfastctl prints.
type Ctl struct {
	NotRunning       string // no companion answers
	NotRunningHint   string
	AlreadyRunning   string // %d pid
	Started          string // %s address, %s config
	Stopped          string
	Network          string // labels of status
	Changed          string
	Relay            string
	Clients          string
	Uploads          string
	Keyring          string
	AutoFix          string
	On               string
	Off              string
	NotListening     string
	KeyringOK        string
	KeyringLocked    string
	KeyringAbsent    string
	CountRunning     string // %d active, %d waiting
	NoClients        string
	AutoFixOn        string
	AutoFixOff       string
	AutoFixFile      string // no companion: %s file
	PausedUntil      string // %s time
	PausedOpen       string
	Resumed          string
	NoUploads        string
	NoHosts          string
	HostAdded        string // %s
	HostRemoved      string // %s
	HostThere        string // %s
	HostMissing      string // %s
	HostNoCA         string
	TrustHint        string // %s file, %s address
	TrustNone        string
	RouteNone        string
	RouteEnv         string // %s variable, %s value
	RoutePAC         string // %s
	ResetPlan        string // %s client, %s bytes, %d items
	ResetPlanEmpty   string // %s client
	ResetDone        string // %s client, %s bytes, %d items
	ResetRestarted   string // %s client
	ResetNoCache     string // %s client: nothing to move
	ResetStep        string // %s path, %s bytes, %s reason
	ResetWouldBackUp string // %d files, %s bytes
	ResetBackedUp    string // %d files, %s bytes, %s folder
	ResetUndo        string // %s id
	ResetUndone      string // %s id
	ResetNone        string
	ResetFailed      string // %s client, %s why
	QuitYourself     string // %s client
	SecretStored     string // %s host
	SecretGone       string // %s host
	SecretPrompt     string
	SecretEmpty      string
	SecretLong       string
	DeviceNone       string // %s host
	DeviceReady      string // %s host, %s device, %s who, %s time
	DeviceEnded      string // %s host, %s device
	DeviceGone       string // %s host, %s device, %s host
	DeviceUnknown    string // %s host
	DeviceRemoved    string // %s host
	CodePrompt       string
	CodeEmpty        string
	SchemeBad        string // %q
	PrefixBad        string // %q
	ConfigKept       string // a change of the file failed to verify; %s file
	UnknownKey       string // %s key, %d line
	AtLine           string // %d line, %s what
	CAEmpty          string
	HostEmpty        string
	HostBad          string // %s
	ListenBad        string // %s
	ListenOpen       string // %s: not loopback
	GiveUpBad        string // %s
	CABad            string // %s file, %s why
	BadDuration      string // %s
	TryHelp          string // %s command
	UnknownVerb      string // %s
	MissingArgument  string // %s
	TooMany          string // %s
	UploadGone       string // %s id
	UnknownClient    string // %s
	NoClientFound    string // %s
	StopWhenUploaded string
}

func ctlEnglish() Ctl {
	return Ctl{
		NotRunning:       "Holdfast is not running.",
		NotRunningHint:   "Start it with: holdfastctl run",
		AlreadyRunning:   "Holdfast is already running (process %d).",
		Started:          "Holdfast listens on %s, configuration %s",
		Stopped:          "Holdfast has stopped.",
		Network:          "Network",
		Changed:          "Last change",
		Relay:            "Relay",
		Clients:          "Clients",
		Uploads:          "Uploads",
		Keyring:          "Keyring",
		AutoFix:          "Auto-fix",
		On:               "on",
		Off:              "off",
		NotListening:     "not listening",
		KeyringOK:        "open",
		KeyringLocked:    "locked",
		KeyringAbsent:    "none",
		CountRunning:     "%d running, %d waiting",
		NoClients:        "neither Dino nor Gajim is installed",
		AutoFixOn:        "Auto-fix is on.",
		AutoFixOff:       "Auto-fix is off. Holdfast does nothing by itself now, except repeating uploads.",
		AutoFixFile:      "Holdfast is not running; the change is in %s and holds from its next start.",
		PausedUntil:      "Paused until %s.",
		PausedOpen:       "Paused until holdfastctl resume.",
		Resumed:          "Resumed.",
		NoUploads:        "No uploads yet. Send a file in Dino or Gajim.",
		NoHosts:          "No upload server is set. Add the one of your account: holdfastctl hosts add upload.example.org",
		HostAdded:        "%s was added. Its uploads pass through Holdfast from now on.",
		HostRemoved:      "%s was removed. Its uploads go directly from now on.",
		HostThere:        "%s is in the list already.",
		HostMissing:      "%s is not in the list. See: holdfastctl hosts list",
		HostNoCA:         "made when Holdfast runs",
		TrustHint:        "A program that is told to trust this file can use the relay, for example: curl --cacert %s -x http://%s",
		TrustNone:        "No upload server is set, so there is no certificate.",
		RouteNone:        "No route is installed. Start a client with these variables to have it use Holdfast:",
		RouteEnv:         "%s=%s",
		RoutePAC:         "Programs that take a proxy script can be given %s",
		ResetPlan:        "%s: would be quit, %s in %d places moved aside, and started again if it runs:",
		ResetPlanEmpty:   "%s: keeps no cache that could be moved aside; it would only be started again if it runs.",
		ResetDone:        "%s: %s in %d places moved aside.",
		ResetRestarted:   "%s was started again.",
		ResetNoCache:     "%s: there was no cache to move aside.",
		ResetStep:        "%s  (%s): %s",
		ResetWouldBackUp: "Before that, %d files with %s would be copied:",
		ResetBackedUp:    "Before that, %d files with %s were copied to %s. They hold passwords; remove the folder when it is not needed any more.",
		ResetUndo:        "To undo it: holdfastctl reset --undo %s",
		ResetUndone:      "Reset %s was undone. Everything is where it was.",
		ResetNone:        "Neither Dino nor Gajim is installed, so there is nothing to reset.",
		ResetFailed:      "%s was not reset: %s",
		QuitYourself:     "%s is running, but without a desktop session it cannot be asked to quit; quit it yourself and try again",
		SecretStored:     "The secret of %s is in the keyring.",
		SecretGone:       "The secret of %s was removed from the keyring.",
		SecretPrompt:     "Secret (one line): ",
		SecretLong:       "the secret is longer than 4096 bytes; is this the right file?",
		SecretEmpty:      "no secret was given; write it as one line to standard input",
		DeviceNone:       "%s: this computer is not known there as a device. It becomes one by itself with the next upload, where the server offers that.",
		DeviceReady:      "%s: device %s of %s, renewed by itself before %s.",
		DeviceEnded:      "%s: the permission of device %s has ended. It is renewed when the server is reached.",
		DeviceGone:       "%s: device %s was revoked by the admin. With a code of the admin: holdfastctl device add %s",
		DeviceUnknown:    "%s does not offer devices",
		DeviceRemoved:    "%s is forgotten as a server of this device. The admin can also revoke it there.",
		CodePrompt:       "Code (one line): ",
		CodeEmpty:        "no code was given; write the admin's code as one line to standard input",
		SchemeBad:        "%q is not a scheme that can be renewed; jwt and v2 are",
		PrefixBad:        "%q is not the path of the server's address; write it like /upload/",
		ConfigKept:       "%s could not be changed without touching more than the one value. Edit it by hand.",
		UnknownKey:       "%s (line %d)",
		AtLine:           "line %d: %s",
		CAEmpty:          "it holds no certificate",
		HostEmpty:        "a host name is missing, for example upload.example.org",
		HostBad:          "%q is not a host name; write it like upload.example.org or upload.example.org:8443, without https:// and without a path",
		ListenBad:        "%q is not an address and port; write it like 127.0.0.1:5380",
		ListenOpen:       "%q can be reached from other computers; only addresses of this computer are allowed, for example 127.0.0.1:5380",
		GiveUpBad:        "%q is not how long an upload may be held; write it like 30m or 2h, from 1s to 72h",
		CABad:            "certificates in %s cannot be used: %s",
		BadDuration:      "%q is not a duration; write it like 15m, 1h or 90s",
		TryHelp:          "See: %s --help",
		UnknownVerb:      "there is no command %q",
		MissingArgument:  "%s is missing",
		TooMany:          "%q is one argument too many",
		UploadGone:       "There is no running upload %s.",
		UnknownClient:    "%q is not a client that Holdfast knows; dino and gajim are",
		NoClientFound:    "%s is not installed here.",
		StopWhenUploaded: "Stopping. Running uploads get 10 seconds to finish.",
	}
}

func ctlGerman() Ctl {
	return Ctl{
		NotRunning:       "Holdfast läuft nicht.",
		NotRunningHint:   "Starten mit: holdfastctl run",
		AlreadyRunning:   "Holdfast läuft schon (Prozess %d).",
		Started:          "Holdfast wartet auf %s, Konfiguration %s",
		Stopped:          "Holdfast ist beendet.",
		Network:          "Netz",
		Changed:          "Letzter Wechsel",
		Relay:            "Relay",
		Clients:          "Programme",
		Uploads:          "Uploads",
		Keyring:          "Schlüsselbund",
		AutoFix:          "Automatisch beheben",
		On:               "an",
		Off:              "aus",
		NotListening:     "wartet nirgends",
		KeyringOK:        "offen",
		KeyringLocked:    "gesperrt",
		KeyringAbsent:    "keiner",
		CountRunning:     "%d laufen, %d warten",
		NoClients:        "weder Dino noch Gajim ist installiert",
		AutoFixOn:        "Automatisches Beheben ist an.",
		AutoFixOff:       "Automatisches Beheben ist aus. Holdfast tut nun nichts von selbst, außer Uploads zu wiederholen.",
		AutoFixFile:      "Holdfast läuft nicht; die Änderung steht in %s und gilt ab dem nächsten Start.",
		PausedUntil:      "Pausiert bis %s.",
		PausedOpen:       "Pausiert bis holdfastctl resume.",
		Resumed:          "Fortgesetzt.",
		NoUploads:        "Noch keine Uploads. Senden Sie eine Datei in Dino oder Gajim.",
		NoHosts:          "Es ist kein Upload-Server eingetragen. Tragen Sie den Ihres Kontos ein: holdfastctl hosts add upload.example.org",
		HostAdded:        "%s ist eingetragen. Seine Uploads laufen ab jetzt durch Holdfast.",
		HostRemoved:      "%s ist ausgetragen. Seine Uploads gehen ab jetzt direkt.",
		HostThere:        "%s ist schon eingetragen.",
		HostMissing:      "%s ist nicht eingetragen. Siehe: holdfastctl hosts list",
		HostNoCA:         "entsteht, wenn Holdfast läuft",
		TrustHint:        "Ein Programm, das dieser Datei vertraut, kann das Relay benutzen, zum Beispiel: curl --cacert %s -x http://%s",
		TrustNone:        "Es ist kein Upload-Server eingetragen, also gibt es kein Zertifikat.",
		RouteNone:        "Es ist keine Umleitung eingerichtet. Mit diesen Variablen gestartet benutzt ein Programm Holdfast:",
		RouteEnv:         "%s=%s",
		RoutePAC:         "Programme mit Proxy-Skript können dieses benutzen: %s",
		ResetPlan:        "%s: würde beendet, %s an %d Orten beiseitegelegt und neu gestartet, falls es läuft:",
		ResetPlanEmpty:   "%s: hat keinen Zwischenspeicher zum Beiseitelegen; es würde nur neu gestartet, falls es läuft.",
		ResetDone:        "%s: %s an %d Orten beiseitegelegt.",
		ResetRestarted:   "%s wurde neu gestartet.",
		ResetNoCache:     "%s: es gab keinen Zwischenspeicher zum Beiseitelegen.",
		ResetStep:        "%s  (%s): %s",
		ResetWouldBackUp: "Davor würden %d Dateien mit %s kopiert:",
		ResetBackedUp:    "Davor wurden %d Dateien mit %s nach %s kopiert. Sie enthalten Passwörter; entfernen Sie den Ordner, wenn er nicht mehr gebraucht wird.",
		ResetUndo:        "Rückgängig machen: holdfastctl reset --undo %s",
		ResetUndone:      "Das Zurücksetzen %s ist rückgängig gemacht. Alles ist, wo es war.",
		ResetNone:        "Weder Dino noch Gajim ist installiert, also gibt es nichts zurückzusetzen.",
		ResetFailed:      "%s wurde nicht zurückgesetzt: %s",
		QuitYourself:     "%s läuft, kann aber ohne Desktop-Sitzung nicht beendet werden; beenden Sie es selbst und versuchen Sie es noch einmal",
		SecretStored:     "Das Geheimnis von %s liegt im Schlüsselbund.",
		SecretGone:       "Das Geheimnis von %s ist aus dem Schlüsselbund entfernt.",
		SecretPrompt:     "Geheimnis (eine Zeile): ",
		SecretLong:       "das Geheimnis ist länger als 4096 Byte; ist es die richtige Datei?",
		SecretEmpty:      "es wurde kein Geheimnis angegeben; schreiben Sie es als eine Zeile auf die Standardeingabe",
		DeviceNone:       "%s: dieser Computer ist dort nicht als Gerät bekannt. Er wird es beim nächsten Upload von selbst, wo der Server das anbietet.",
		DeviceReady:      "%s: Gerät %s von %s, wird vor %s von selbst erneuert.",
		DeviceEnded:      "%s: die Erlaubnis des Geräts %s ist abgelaufen. Sie wird erneuert, sobald der Server erreichbar ist.",
		DeviceGone:       "%s: Gerät %s wurde vom Betreiber gesperrt. Mit einem Code des Betreibers: holdfastctl device add %s",
		DeviceUnknown:    "%s bietet keine Geräte an",
		DeviceRemoved:    "%s ist als Server dieses Geräts vergessen. Der Betreiber kann es dort auch sperren.",
		CodePrompt:       "Code (eine Zeile): ",
		CodeEmpty:        "es wurde kein Code angegeben; schreiben Sie den Code des Betreibers als eine Zeile auf die Standardeingabe",
		SchemeBad:        "%q ist kein Verfahren, das erneuert werden kann; jwt und v2 sind es",
		PrefixBad:        "%q ist nicht der Pfad der Serveradresse; schreiben Sie ihn wie /upload/",
		ConfigKept:       "%s ließ sich nicht ändern, ohne mehr als den einen Wert zu berühren. Bearbeiten Sie die Datei von Hand.",
		UnknownKey:       "%s (Zeile %d)",
		AtLine:           "Zeile %d: %s",
		CAEmpty:          "es enthält kein Zertifikat",
		HostEmpty:        "es fehlt ein Rechnername, zum Beispiel upload.example.org",
		HostBad:          "%q ist kein Rechnername; schreiben Sie ihn wie upload.example.org oder upload.example.org:8443, ohne https:// und ohne Pfad",
		ListenBad:        "%q ist keine Adresse mit Port; schreiben Sie sie wie 127.0.0.1:5380",
		ListenOpen:       "%q ist von anderen Computern erreichbar; erlaubt sind nur Adressen dieses Computers, zum Beispiel 127.0.0.1:5380",
		GiveUpBad:        "%q ist nicht, wie lange ein Upload gehalten werden darf; schreiben Sie es wie 30m oder 2h, von 1s bis 72h",
		CABad:            "Zertifikate in %s sind nicht brauchbar: %s",
		BadDuration:      "%q ist keine Dauer; schreiben Sie sie wie 15m, 1h oder 90s",
		TryHelp:          "Siehe: %s --help",
		UnknownVerb:      "es gibt keinen Befehl %q",
		MissingArgument:  "%s fehlt",
		TooMany:          "%q ist ein Argument zu viel",
		UploadGone:       "Es läuft kein Upload %s.",
		UnknownClient:    "%q ist kein Programm, das Holdfast kennt; dino und gajim sind es",
		NoClientFound:    "%s ist hier nicht installiert.",
		StopWhenUploaded: "Wird beendet. Laufende Uploads erhalten 10 Sekunden, um fertig zu werden.",
	}
}
