package words

// Diagnose is the lines of the check that finds out what is missing. Each is the sentence of one finding.
type Diagnose struct {
	NetworkOK      string // %s network
	NetworkNone    Said
	NetworkPortal  Said   // text: %s network
	Interfaces     string // %s list
	InterfacesNone Said
	HasDefault     string // note beside an interface
	Via            string // %s interface, %s gateway, %d metric
	RouteOne       string // %s IPv4 or IPv6, %s route
	RoutesMany     Said   // text: %s IPv4 or IPv6, %s routes, %s the interface that is used
	RouteNone      Said
	DNSOK          string // %s addresses
	DNSNone        Said
	DNSDead        Said   // text: %s addresses with reasons
	DNSUnknown     Said   // text: %s addresses
	RelayOK        string // %s address
	RelayBad       Said   // text: %s address, %s why
	RelayOff       Said
	PortOther      Said // text: %s wanted, %s used
	KeyringOK      string
	KeyringBad     Said
	KeyringLocked  Said
	TokenKey       string // %s host
	TokenNone      string // %s host
	TrustOK        string // %s host
	TrustBad       Said   // text: %s host
	ClientIdle     string // %s client, %s install
	ClientOK       string // %s client, %s install
	ClientRoute    Said   // text: %s client, %s install
	ClientTrust    Said   // the same
	ClientRestart  Said   // the same
	HostOK         string // %s host, %s milliseconds
	HostName       Said   // the name is not known; text: %s host
	HostConnect    Said   // no connection; text: %s host, %s why
	HostIdentity   Said   // the certificate; text: %s host, %s why
	NoHosts        Said
	PortalFound    Said   // text: %s where it leads
	WayOK          string // %s host, %s interface, %s family, %s milliseconds
	WayBad         Said   // text: %s host, %s interface, %s family, %s why
	CertOK         string // %s host, %s date
	CertSoon       Said   // text: %s host, %s date
	CertBad        Said   // text: %s host, %s why
	CertClock      Said   // the same, while the clock is wrong
	CertExpired    string // a reason: %s date
	CertEarly      string // a reason
	CertName       string // a reason
	CertUnknown    string // a reason: %s issuer
	HealthOK       string // %s host
	HealthOther    string // %s host, %s status
	HealthNone     Said   // text: %s host
	HealthBad      Said   // text: %s host, %s status
	ClockOK        string // %s host
	ClockAhead     Said   // text: %s duration, %s host
	ClockBehind    Said   // the same
	Written        string // %s file
	Warning        string // a mark of at most four letters, as ok and --
}

func diagnoseEnglish() Diagnose {
	const setClock = "Set the clock of this computer, best automatically: timedatectl set-ntp true"
	return Diagnose{
		NetworkOK:      "%s.",
		NetworkNone:    Said{"There is no network.", "Connect to a network."},
		NetworkPortal:  Said{"%s wants you to sign in.", "Open a web page in the browser and sign in."},
		Interfaces:     "Interfaces with addresses: %s.",
		InterfacesNone: Said{"No interface of this computer has an address.", "Connect to a network, or switch Wi-Fi on."},
		HasDefault:     "default route",
		Via:            "%s via %s, metric %d",
		RouteOne:       "The %s way out is %s.",
		RoutesMany:     Said{"There are several %s ways out: %s. Programs take %s.", "Nothing has to be done while uploads work. If they stand still, disconnect the network that is not needed."},
		RouteNone:      Said{"There is no default route, so only the own network can be reached.", "Connect again; if that does not help, restart the router."},
		DNSOK:          "Nameservers answer: %s.",
		DNSNone:        Said{"No nameserver is set.", "Connect to the network again; /etc/resolv.conf should list one."},
		DNSDead:        Said{"Nameservers do not answer: %s.", "Connect to the network again, or set another nameserver in the settings of the network."},
		DNSUnknown:     Said{"The nameserver %s does not know the upload server.", "Check the spelling of the host. If it is right, set another nameserver in the settings of the network."},
		RelayOK:        "The relay answers on %s.",
		RelayBad:       Said{"The relay does not answer on %s: %s.", "Stop Holdfast and start it again."},
		RelayOff:       Said{"Holdfast is not running, so the relay does not answer.", "Start it: holdfastctl run"},
		PortOther:      Said{"Port %s was taken by another program; the relay uses %s.", "Clients that were set up by hand need the new port. Restart those that were started before."},
		KeyringOK:      "The keyring answers.",
		KeyringBad:     Said{"The keyring does not answer.", "Uploads work without it. Log in again to unlock it if permissions should be renewed."},
		KeyringLocked:  Said{"The keyring is locked.", "Uploads work without it. Unlock it, for example by logging in again, if permissions should be renewed."},
		TokenKey:       "Permissions of %s that became too old can be renewed.",
		TokenNone:      "Permissions of %s are used as they come; there is no secret to renew them with.",
		TrustOK:        "Clients accept the certificate of Holdfast for %s.",
		TrustBad:       Said{"The certificate of Holdfast for %s is not installed where programs look for it.", "Have it installed: holdfastctl trust install"},
		ClientIdle:     "%s (%s) is installed and not running.",
		ClientOK:       "%s (%s) runs with Holdfast.",
		ClientRoute:    Said{"%s (%s) runs without Holdfast.", "Quit it and start it with holdfastctl launch"},
		ClientTrust:    Said{"%s (%s) does not trust the certificate of Holdfast.", "Have it installed, then restart the client: holdfastctl trust install"},
		ClientRestart:  Said{"%s (%s) was started before Holdfast and does not use it yet.", "Restart it."},
		HostOK:         "%s answers and proves who it is (%s ms).",
		HostName:       Said{"The name %s is not known.", "Check its spelling: holdfastctl hosts list"},
		HostConnect:    Said{"%s cannot be reached: %s.", "Check the network; if other pages open, ask the admin of the upload server."},
		HostIdentity:   Said{"%s could not prove who it is: %s.", "Tell its admin. If it is your own server with a private certificate, set upstream_ca in config.toml."},
		NoHosts:        Said{"No upload server is set.", "Add the one of your account: holdfastctl hosts add upload.example.org"},
		PortalFound:    Said{"The network sends everything to a sign-in page at %s.", "Open a web page in the browser and sign in."},
		WayOK:          "%s can be reached over %s with %s (%s ms).",
		WayBad:         Said{"%s cannot be reached over %s with %s: %s.", "Programs may take this way when networks change. Check this network, or disconnect it."},
		CertOK:         "The certificate of %s is good until %s.",
		CertSoon:       Said{"The certificate of %s ends on %s and has not been renewed.", "Tell its admin before uploads stop."},
		CertBad:        Said{"The certificate of %s is not good: %s.", "Tell its admin. If it is your own server with a private certificate, set upstream_ca in config.toml."},
		CertClock:      Said{"The certificate of %s is not good: %s. The clock of this computer is wrong, which may be the reason.", setClock},
		CertExpired:    "it ended on %s",
		CertEarly:      "it is not valid yet",
		CertName:       "it is for another name",
		CertUnknown:    "it was issued by \"%s\", which this computer does not know",
		HealthOK:       "%s is a holdfast-server and is well.",
		HealthOther:    "%s is another kind of upload server (%s).",
		HealthNone:     Said{"%s takes connections but does not answer.", "Ask the admin of the upload server."},
		HealthBad:      Said{"%s answers that it does not work now (%s).", "Ask the admin of the upload server; waiting uploads are repeated."},
		ClockOK:        "The clocks of this computer and of %s agree.",
		ClockAhead:     Said{"The clock of this computer is %s ahead of that of %s.", setClock},
		ClockBehind:    Said{"The clock of this computer is %s behind that of %s.", setClock},
		Written:        "The report is in %s. It holds no accounts, no file names and no permissions; look through it before you send it.",
		Warning:        "~~",
	}
}

func diagnoseGerman() Diagnose {
	const setClock = "Stellen Sie die Uhr dieses Computers, am besten automatisch: timedatectl set-ntp true"
	return Diagnose{
		NetworkOK:      "%s.",
		NetworkNone:    Said{"Es gibt kein Netz.", "Verbinden Sie sich mit einem Netz."},
		NetworkPortal:  Said{"%s verlangt eine Anmeldung.", "Öffnen Sie eine Webseite im Browser und melden Sie sich an."},
		Interfaces:     "Schnittstellen mit Adressen: %s.",
		InterfacesNone: Said{"Keine Schnittstelle dieses Computers hat eine Adresse.", "Verbinden Sie sich mit einem Netz oder schalten Sie das WLAN ein."},
		HasDefault:     "Standardroute",
		Via:            "%s über %s, Metrik %d",
		RouteOne:       "Der Weg nach draußen mit %s ist %s.",
		RoutesMany:     Said{"Es gibt mehrere Wege nach draußen mit %s: %s. Programme nehmen %s.", "Solange Uploads gehen, ist nichts zu tun. Stehen sie still, trennen Sie das Netz, das nicht gebraucht wird."},
		RouteNone:      Said{"Es gibt keine Standardroute, erreichbar ist nur das eigene Netz.", "Verbinden Sie sich neu; hilft das nicht, starten Sie den Router neu."},
		DNSOK:          "Namensserver antworten: %s.",
		DNSNone:        Said{"Es ist kein Namensserver eingestellt.", "Verbinden Sie sich neu mit dem Netz; in /etc/resolv.conf sollte einer stehen."},
		DNSDead:        Said{"Namensserver antworten nicht: %s.", "Verbinden Sie sich neu mit dem Netz oder stellen Sie in dessen Einstellungen einen anderen Namensserver ein."},
		DNSUnknown:     Said{"Der Namensserver %s kennt den Upload-Server nicht.", "Prüfen Sie die Schreibweise. Stimmt sie, stellen Sie in den Einstellungen des Netzes einen anderen Namensserver ein."},
		RelayOK:        "Das Relay antwortet auf %s.",
		RelayBad:       Said{"Das Relay antwortet nicht auf %s: %s.", "Beenden Sie Holdfast und starten Sie es neu."},
		RelayOff:       Said{"Holdfast läuft nicht, darum antwortet das Relay nicht.", "Starten Sie es: holdfastctl run"},
		PortOther:      Said{"Port %s war von einem anderen Programm belegt; das Relay benutzt %s.", "Von Hand eingestellte Programme brauchen den neuen Port. Starten Sie die neu, die vorher liefen."},
		KeyringOK:      "Der Schlüsselbund antwortet.",
		KeyringBad:     Said{"Der Schlüsselbund antwortet nicht.", "Uploads gehen auch so. Melden Sie sich neu an, um ihn zu entsperren, wenn Erlaubnisse erneuert werden sollen."},
		KeyringLocked:  Said{"Der Schlüsselbund ist gesperrt.", "Uploads gehen auch so. Entsperren Sie ihn, etwa durch erneutes Anmelden, wenn Erlaubnisse erneuert werden sollen."},
		TokenKey:       "Zu alte Erlaubnisse von %s können erneuert werden.",
		TokenNone:      "Erlaubnisse von %s werden benutzt, wie sie kommen; es gibt kein Geheimnis, um sie zu erneuern.",
		TrustOK:        "Programme vertrauen dem Zertifikat von Holdfast für %s.",
		TrustBad:       Said{"Das Zertifikat von Holdfast für %s liegt nicht dort, wo Programme es suchen.", "Lassen Sie es installieren: holdfastctl trust install"},
		ClientIdle:     "%s (%s) ist installiert und läuft nicht.",
		ClientOK:       "%s (%s) läuft mit Holdfast.",
		ClientRoute:    Said{"%s (%s) läuft ohne Holdfast.", "Beenden Sie es und starten Sie es mit holdfastctl launch"},
		ClientTrust:    Said{"%s (%s) vertraut dem Zertifikat von Holdfast nicht.", "Lassen Sie es installieren und starten Sie das Programm neu: holdfastctl trust install"},
		ClientRestart:  Said{"%s (%s) lief schon vor Holdfast und benutzt es noch nicht.", "Starten Sie es neu."},
		HostOK:         "%s antwortet und beweist, wer er ist (%s ms).",
		HostName:       Said{"Der Name %s ist nicht bekannt.", "Prüfen Sie die Schreibweise: holdfastctl hosts list"},
		HostConnect:    Said{"%s ist nicht erreichbar: %s.", "Prüfen Sie das Netz; gehen andere Seiten auf, fragen Sie den Betreiber des Upload-Servers."},
		HostIdentity:   Said{"%s konnte nicht beweisen, wer er ist: %s.", "Melden Sie es dem Betreiber. Ist es Ihr eigener Server mit eigenem Zertifikat, setzen Sie upstream_ca in config.toml."},
		NoHosts:        Said{"Es ist kein Upload-Server eingetragen.", "Tragen Sie den Ihres Kontos ein: holdfastctl hosts add upload.example.org"},
		PortalFound:    Said{"Das Netz leitet alles auf eine Anmeldeseite bei %s um.", "Öffnen Sie eine Webseite im Browser und melden Sie sich an."},
		WayOK:          "%s ist über %s mit %s erreichbar (%s ms).",
		WayBad:         Said{"%s ist über %s mit %s nicht erreichbar: %s.", "Beim Netzwechsel nehmen Programme vielleicht diesen Weg. Prüfen Sie dieses Netz oder trennen Sie es."},
		CertOK:         "Das Zertifikat von %s gilt bis %s.",
		CertSoon:       Said{"Das Zertifikat von %s endet am %s und wurde nicht erneuert.", "Melden Sie es dem Betreiber, bevor Uploads stillstehen."},
		CertBad:        Said{"Das Zertifikat von %s gilt nicht: %s.", "Melden Sie es dem Betreiber. Ist es Ihr eigener Server mit eigenem Zertifikat, setzen Sie upstream_ca in config.toml."},
		CertClock:      Said{"Das Zertifikat von %s gilt nicht: %s. Die Uhr dieses Computers geht falsch; das kann der Grund sein.", setClock},
		CertExpired:    "es endete am %s",
		CertEarly:      "es gilt noch nicht",
		CertName:       "es ist für einen anderen Namen",
		CertUnknown:    "es stammt von \"%s\", den dieser Computer nicht kennt",
		HealthOK:       "%s ist ein holdfast-server und arbeitet.",
		HealthOther:    "%s ist ein Upload-Server anderer Art (%s).",
		HealthNone:     Said{"%s nimmt Verbindungen an, antwortet aber nicht.", "Fragen Sie den Betreiber des Upload-Servers."},
		HealthBad:      Said{"%s antwortet, dass er gerade nicht arbeitet (%s).", "Fragen Sie den Betreiber des Upload-Servers; wartende Uploads werden wiederholt."},
		ClockOK:        "Die Uhren dieses Computers und von %s stimmen überein.",
		ClockAhead:     Said{"Die Uhr dieses Computers geht %s vor gegenüber der von %s.", setClock},
		ClockBehind:    Said{"Die Uhr dieses Computers geht %s nach gegenüber der von %s.", setClock},
		Written:        "Der Bericht liegt in %s. Er enthält keine Konten, keine Dateinamen und keine Erlaubnisse; sehen Sie ihn durch, bevor Sie ihn weitergeben.",
		Warning:        "~~",
	}
}
