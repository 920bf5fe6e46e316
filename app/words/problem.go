package words

import (
	"fmt"
	"time"

	"holdfast/app/agent"
)

// Said is a problem and what to do about it.
type Said struct{ Text, Remedy string }

// Problem is the problems a companion can have.
type Problem struct {
	Offline         Said
	Portal          Said // text: %s network
	RelayPort       Said // text: %s wanted, %s used; remedy: %s used
	RelayOff        Said // text: %s why
	ConfigError     Said // text: %s "line N: what"; remedy: %s file
	ConfigUnknown   Said // text: %s keys; remedy: %s file
	RestartNeeded   Said // text: %s key
	KeyringLocked   Said
	KeyringAbsent   Said
	NetworkBlind    Said
	NoHosts         Said
	ClientNotRouted Said // both: %s client
	ClientNoTrust   Said // the same
	ClientRestart   Said // the same
	ClientBypassed  Said // the same
	TrustDue        Said // text: %s host
	ClientStuck     Said // both: %s client
	Certificate     Said // both: %s host
	Expired         Said // both: %s host
	SelfSigned      Said // both: %s host
	OtherName       Said // both: %s host
	ClockWrong      Said // text: %s "1 h ahead", %s host
	DeviceRevoked   Said // both: %s host
	HistoryFailed   Said // text: %s why
	Other           Said // text: %s code
}

func problemEnglish() Problem {
	return Problem{
		Offline:         Said{"There is no network.", "Connect to a network. Waiting uploads then go on by themselves."},
		Portal:          Said{"%s wants you to sign in.", "Open a web page in the browser and sign in. Waiting uploads then go on by themselves."},
		RelayPort:       Said{"Port %s is used by another program, so Holdfast listens on %s.", "Nothing has to be done. Clients with a proxy set by hand need %s."},
		RelayOff:        Said{"Holdfast cannot take uploads: %s.", "Restart Holdfast. If that does not help, choose another port under [relay] listen in config.toml."},
		ConfigError:     Said{"The configuration has a mistake in %s. The last good values are used.", "Correct the line in %s. It is read again as soon as it is saved."},
		ConfigUnknown:   Said{"The configuration has keys that Holdfast does not know: %s.", "Check their spelling in %s. They are kept, and nothing else depends on them."},
		RestartNeeded:   Said{"The new value of %s is used after a restart of Holdfast.", "Stop Holdfast and start it again when no upload is running."},
		KeyringLocked:   Said{"The keyring is locked. Uploads work, but permissions that are too old cannot be renewed.", "Unlock the keyring, for example by logging in again."},
		KeyringAbsent:   Said{"There is no keyring. Uploads work, but permissions that are too old cannot be renewed.", "Start gnome-keyring, KWallet or KeePassXC if permissions should be renewed."},
		NetworkBlind:    Said{"Network changes cannot be seen, because NetworkManager does not answer.", "Uploads are still repeated, only later. Start NetworkManager to have them go on at once."},
		NoHosts:         Said{"No upload server is set, so no upload passes through Holdfast.", "Add the one of your account: holdfastctl hosts add upload.example.org"},
		ClientNotRouted: Said{"%s is running without Holdfast.", "Have the menu start %s with it (holdfastctl route install), then restart it."},
		ClientNoTrust:   Said{"%s does not trust Holdfast, so its uploads do not work.", "Have %s trust it (holdfastctl trust install), then restart it from the menu."},
		ClientRestart:   Said{"%s is running without Holdfast.", "Quit %s and start it again from the menu."},
		ClientBypassed:  Said{"%s was started while Holdfast was not running, so its uploads go directly.", "Quit %s and start it again from the menu."},
		TrustDue:        Said{"The certificate for %s ends soon, and this computer does not trust the next one yet.", "Run holdfastctl trust install --system, then restart Dino and Gajim."},
		ClientStuck:     Said{"%s has lost its upload server and cannot send files.", "Restart %s, then send the file again."},
		Certificate:     Said{"%s could not prove who it is. Nothing was sent.", "Tell the admin of %s that its certificate is not valid."},
		Expired:         Said{"The certificate of %s is out of date. Nothing was sent.", "Check the date of this computer; if it is right, tell the admin of %s to renew the certificate."},
		SelfSigned:      Said{"The certificate of %s is self-signed, so anybody could have made it. Nothing was sent.", "Tell the admin of %s to use a certificate of a public authority. If it is your own server, name its certificate under [relay] upstream_ca in config.toml."},
		OtherName:       Said{"The server that answers for %s shows the certificate of another name. Nothing was sent.", "You may be connected to the wrong server. If this goes on in other networks, tell the admin of %s."},
		ClockWrong:      Said{"The clock of this computer is %s that of %s.", "Turn on automatic date and time. Uploads work meanwhile where Holdfast can correct for it."},
		DeviceRevoked:   Said{"%s no longer accepts this computer as a device of yours. Uploads work, but late ones are refused.", "Ask the admin of the server for a code, then: holdfastctl device add %s"},
		HistoryFailed:   Said{"The list of past uploads cannot be written: %s.", "Free some space or correct the permissions of the folder. Uploads work all the same."},
		Other:           Said{"Something is wrong: %s.", "See the log of Holdfast."},
	}
}

func problemGerman() Problem {
	return Problem{
		Offline:         Said{"Es gibt kein Netz.", "Verbinden Sie sich mit einem Netz. Wartende Uploads gehen dann von selbst weiter."},
		Portal:          Said{"%s verlangt eine Anmeldung.", "Öffnen Sie eine Webseite im Browser und melden Sie sich an. Wartende Uploads gehen dann von selbst weiter."},
		RelayPort:       Said{"Port %s wird von einem anderen Programm benutzt, darum wartet Holdfast auf %s.", "Es ist nichts zu tun. Von Hand eingestellte Programme brauchen %s."},
		RelayOff:        Said{"Holdfast kann keine Uploads annehmen: %s.", "Starten Sie Holdfast neu. Hilft das nicht, wählen Sie in config.toml unter [relay] listen einen anderen Port."},
		ConfigError:     Said{"Die Konfiguration hat einen Fehler in %s. Es gelten die letzten richtigen Werte.", "Berichtigen Sie die Zeile in %s. Sie wird beim Speichern neu gelesen."},
		ConfigUnknown:   Said{"Die Konfiguration enthält Einträge, die Holdfast nicht kennt: %s.", "Prüfen Sie die Schreibweise in %s. Die Einträge bleiben stehen; nichts sonst hängt davon ab."},
		RestartNeeded:   Said{"Der neue Wert von %s gilt nach einem Neustart von Holdfast.", "Beenden und starten Sie Holdfast, wenn kein Upload läuft."},
		KeyringLocked:   Said{"Der Schlüsselbund ist gesperrt. Uploads gehen, aber zu alte Erlaubnisse können nicht erneuert werden.", "Entsperren Sie den Schlüsselbund, etwa durch erneutes Anmelden."},
		KeyringAbsent:   Said{"Es gibt keinen Schlüsselbund. Uploads gehen, aber zu alte Erlaubnisse können nicht erneuert werden.", "Starten Sie gnome-keyring, KWallet oder KeePassXC, wenn Erlaubnisse erneuert werden sollen."},
		NetworkBlind:    Said{"Netzwechsel sind nicht sichtbar, weil NetworkManager nicht antwortet.", "Uploads werden trotzdem wiederholt, nur später. Mit NetworkManager gehen sie sofort weiter."},
		NoHosts:         Said{"Es ist kein Upload-Server eingetragen, darum läuft kein Upload durch Holdfast.", "Tragen Sie den Ihres Kontos ein: holdfastctl hosts add upload.example.org"},
		ClientNotRouted: Said{"%s läuft ohne Holdfast.", "Lassen Sie das Menü %s damit starten (holdfastctl route install), und starten Sie es dann neu."},
		ClientNoTrust:   Said{"%s vertraut Holdfast nicht, darum gehen seine Uploads nicht.", "Lassen Sie %s ihm vertrauen (holdfastctl trust install), und starten Sie es dann aus dem Menü neu."},
		ClientRestart:   Said{"%s läuft ohne Holdfast.", "Beenden Sie %s und starten Sie es aus dem Menü neu."},
		ClientBypassed:  Said{"%s wurde gestartet, während Holdfast nicht lief; seine Uploads gehen direkt.", "Beenden Sie %s und starten Sie es aus dem Menü neu."},
		TrustDue:        Said{"Das Zertifikat für %s endet bald, und dieser Computer vertraut dem nächsten noch nicht.", "Rufen Sie holdfastctl trust install --system auf und starten Sie Dino und Gajim neu."},
		ClientStuck:     Said{"%s hat seinen Upload-Server verloren und kann keine Dateien senden.", "Starten Sie %s neu und senden Sie die Datei noch einmal."},
		Certificate:     Said{"%s konnte nicht beweisen, wer er ist. Es wurde nichts gesendet.", "Melden Sie dem Betreiber von %s, dass das Zertifikat nicht gültig ist."},
		Expired:         Said{"Das Zertifikat von %s ist abgelaufen oder gilt noch nicht. Es wurde nichts gesendet.", "Prüfen Sie das Datum dieses Computers; ist es richtig, bitten Sie den Betreiber von %s, das Zertifikat zu erneuern."},
		SelfSigned:      Said{"Das Zertifikat von %s hat sich selbst unterschrieben, jeder könnte es gemacht haben. Es wurde nichts gesendet.", "Bitten Sie den Betreiber von %s um ein Zertifikat einer öffentlichen Stelle. Ist es Ihr eigener Server, nennen Sie sein Zertifikat in config.toml unter [relay] upstream_ca."},
		OtherName:       Said{"Der Server, der für %s antwortet, zeigt das Zertifikat eines anderen Namens. Es wurde nichts gesendet.", "Vielleicht sind Sie mit dem falschen Server verbunden. Bleibt es in anderen Netzen so, melden Sie es dem Betreiber von %s."},
		ClockWrong:      Said{"Die Uhr dieses Computers geht %s der von %s.", "Schalten Sie Datum und Uhrzeit auf automatisch. Uploads gehen solange dort, wo Holdfast es ausgleichen kann."},
		DeviceRevoked:   Said{"%s nimmt diesen Computer nicht mehr als Ihr Gerät an. Uploads gehen, aber verspätete werden abgelehnt.", "Bitten Sie den Betreiber des Servers um einen Code, dann: holdfastctl device add %s"},
		HistoryFailed:   Said{"Die Liste vergangener Uploads kann nicht geschrieben werden: %s.", "Schaffen Sie Platz oder berichtigen Sie die Rechte des Ordners. Uploads gehen trotzdem."},
		Other:           Said{"Etwas stimmt nicht: %s.", "Sehen Sie in das Protokoll von Holdfast."},
	}
}

// Explain words a problem. It is what an agent is given as its Phrases.
func (w *Words) Explain(i agent.Issue) agent.Problem {
	arg := func(n int) string {
		if n < len(i.Args) {
			return i.Args[n]
		}
		return ""
	}
	p := w.Problem
	say := func(s Said, text, remedy []any) agent.Problem {
		out := agent.Problem{Code: string(i.Code), Text: s.Text, Remedy: s.Remedy}
		if len(text) > 0 {
			out.Text = fmt.Sprintf(s.Text, text...)
		}
		if len(remedy) > 0 {
			out.Remedy = fmt.Sprintf(s.Remedy, remedy...)
		}
		return out
	}
	one := []any{arg(0)}
	client := []any{ClientName(arg(0))}
	switch i.Code {
	case agent.Offline:
		return say(p.Offline, nil, nil)
	case agent.Portal:
		if arg(0) == "" {
			one = []any{w.Upload.TheNetwork}
		}
		return say(p.Portal, one, nil)
	case agent.RelayPort:
		return say(p.RelayPort, []any{arg(0), arg(1)}, []any{arg(1)})
	case agent.RelayOff:
		return say(p.RelayOff, one, nil)
	case agent.ConfigError:
		return say(p.ConfigError, one, []any{arg(1)})
	case agent.ConfigUnknown:
		return say(p.ConfigUnknown, one, []any{arg(1)})
	case agent.RestartNeeded:
		return say(p.RestartNeeded, one, nil)
	case agent.KeyringIsLocked:
		return say(p.KeyringLocked, nil, nil)
	case agent.KeyringIsAbsent:
		return say(p.KeyringAbsent, nil, nil)
	case agent.NetworkBlind:
		return say(p.NetworkBlind, nil, nil)
	case agent.NoHosts:
		return say(p.NoHosts, nil, nil)
	case agent.ClientNotRouted:
		form, ok := map[string]Said{"not-trusted": p.ClientNoTrust, "needs-restart": p.ClientRestart, "bypassed": p.ClientBypassed}[arg(1)]
		if !ok {
			form = p.ClientNotRouted
		}
		return say(form, client, client)
	case agent.TrustDue:
		return say(p.TrustDue, one, nil)
	case agent.ClientStuck:
		return say(p.ClientStuck, client, client)
	case agent.Certificate:
		return say(w.certificate(arg(1)), one, one)
	case agent.ClockWrong:
		return say(p.ClockWrong, []any{arg(1), arg(0)}, nil)
	case agent.DeviceRevoked:
		return say(p.DeviceRevoked, one, one)
	case agent.HistoryFailed:
		return say(p.HistoryFailed, one, nil)
	}
	return say(p.Other, []any{string(i.Code)}, nil)
}

// certificate is what is said about a certificate that is not good, by the reason that the relay gives.
func (w *Words) certificate(reason string) Said {
	switch reason {
	case "certificate-expired":
		return w.Problem.Expired
	case "certificate-self-signed":
		return w.Problem.SelfSigned
	case "certificate-other-name":
		return w.Problem.OtherName
	}
	return w.Problem.Certificate
}

// Ahead says how a clock differs: "1 h 5 min ahead of", "2 d behind".
func (w *Words) Ahead(d time.Duration) string {
	u := w.Upload
	amount := d.Abs()
	var s string
	switch {
	case amount >= 48*time.Hour:
		s = fmt.Sprintf(u.Days, int(amount/(24*time.Hour)))
	case amount >= time.Hour:
		s = fmt.Sprintf(u.Hours, int(amount/time.Hour), int(amount%time.Hour/time.Minute))
	default:
		s = fmt.Sprintf(u.Minutes, int(amount/time.Minute))
	}
	if d > 0 {
		return fmt.Sprintf(u.AheadOf, s)
	}
	return fmt.Sprintf(u.Behind, s)
}
