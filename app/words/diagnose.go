package words

// Diagnose is the lines of the check that finds out what is missing. Each is the sentence of one finding.
type Diagnose struct {
	NetworkOK     string // %s network
	NetworkNone   Said
	NetworkPortal Said   // text: %s network
	RelayOK       string // %s address
	RelayBad      Said   // text: %s address, %s why
	KeyringOK     string
	KeyringBad    Said
	HostOK        string // %s host, %s milliseconds
	HostName      Said   // the name is not known; text: %s host
	HostConnect   Said   // no connection; text: %s host, %s why
	HostIdentity  Said   // the certificate; text: %s host, %s why
	NoHosts       Said
}

func diagnoseEnglish() Diagnose {
	return Diagnose{
		NetworkOK:     "%s.",
		NetworkNone:   Said{"There is no network.", "Connect to a network."},
		NetworkPortal: Said{"%s wants you to sign in.", "Open a web page in the browser and sign in."},
		RelayOK:       "The relay answers on %s.",
		RelayBad:      Said{"The relay does not answer on %s: %s.", "Stop Holdfast and start it again."},
		KeyringOK:     "The keyring answers.",
		KeyringBad:    Said{"The keyring does not answer.", "Uploads work without it. Log in again to unlock it if permissions should be renewed."},
		HostOK:        "%s answers and proves who it is (%s ms).",
		HostName:      Said{"The name %s is not known.", "Check its spelling: holdfastctl hosts list"},
		HostConnect:   Said{"%s cannot be reached: %s.", "Check the network; if other pages open, ask the admin of the upload server."},
		HostIdentity:  Said{"%s could not prove who it is: %s.", "Tell its admin. If it is your own server with a private certificate, set upstream_ca in config.toml."},
		NoHosts:       Said{"No upload server is set.", "Add the one of your account: holdfastctl hosts add upload.example.org"},
	}
}

func diagnoseGerman() Diagnose {
	return Diagnose{
		NetworkOK:     "%s.",
		NetworkNone:   Said{"Es gibt kein Netz.", "Verbinden Sie sich mit einem Netz."},
		NetworkPortal: Said{"%s verlangt eine Anmeldung.", "Öffnen Sie eine Webseite im Browser und melden Sie sich an."},
		RelayOK:       "Das Relay antwortet auf %s.",
		RelayBad:      Said{"Das Relay antwortet nicht auf %s: %s.", "Beenden Sie Holdfast und starten Sie es neu."},
		KeyringOK:     "Der Schlüsselbund antwortet.",
		KeyringBad:    Said{"Der Schlüsselbund antwortet nicht.", "Uploads gehen auch so. Melden Sie sich neu an, um ihn zu entsperren, wenn Erlaubnisse erneuert werden sollen."},
		HostOK:        "%s antwortet und beweist, wer er ist (%s ms).",
		HostName:      Said{"Der Name %s ist nicht bekannt.", "Prüfen Sie die Schreibweise: holdfastctl hosts list"},
		HostConnect:   Said{"%s ist nicht erreichbar: %s.", "Prüfen Sie das Netz; gehen andere Seiten auf, fragen Sie den Betreiber des Upload-Servers."},
		HostIdentity:  Said{"%s konnte nicht beweisen, wer er ist: %s.", "Melden Sie es dem Betreiber. Ist es Ihr eigener Server mit eigenem Zertifikat, setzen Sie upstream_ca in config.toml."},
		NoHosts:       Said{"Es ist kein Upload-Server eingetragen.", "Tragen Sie den Ihres Kontos ein: holdfastctl hosts add upload.example.org"},
	}
}
