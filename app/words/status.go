package words

import (
	"fmt"

	"holdfast/app/agent"
)

// Status is the one line that says how things are.
type Status struct {
	Protected     string
	ProtectedLast string // %s client, %s time
	Ready         string
	Working       string
	WorkingMany   string // %d
	Waiting       string
	WaitingMany   string // %d
	WaitingNet    string // no upload, no network
	Attention     string
	Paused        string
	PausedUntil   string // %s time
	Off           string
}

func statusEnglish() Status {
	return Status{
		Protected:     "Protected",
		ProtectedLast: "Protected: last upload from %s %s",
		Ready:         "Ready - send a file to see it work",
		Working:       "Uploading 1 file",
		WorkingMany:   "Uploading %d files",
		Waiting:       "1 upload waits for the network",
		WaitingMany:   "%d uploads wait for the network",
		WaitingNet:    "Waiting for a network",
		Attention:     "Needs attention",
		Paused:        "Paused",
		PausedUntil:   "Paused until %s",
		Off:           "Holdfast is not running",
	}
}

func statusGerman() Status {
	return Status{
		Protected:     "Geschützt",
		ProtectedLast: "Geschützt: letzter Upload von %s %s",
		Ready:         "Bereit - senden Sie eine Datei, um es zu sehen",
		Working:       "1 Datei wird hochgeladen",
		WorkingMany:   "%d Dateien werden hochgeladen",
		Waiting:       "1 Upload wartet auf das Netz",
		WaitingMany:   "%d Uploads warten auf das Netz",
		WaitingNet:    "Warten auf ein Netz",
		Attention:     "Braucht Aufmerksamkeit",
		Paused:        "Pausiert",
		PausedUntil:   "Pausiert bis %s",
		Off:           "Holdfast läuft nicht",
	}
}

// StatusLine is the first line of the tray menu and of `holdfastctl status`.
func (w *Words) StatusLine(s agent.State) string {
	switch s.Status {
	case agent.Protected:
		if s.Last != nil && s.Last.State == "done" {
			name := s.Last.Client
			if name == "" {
				name = w.Upload.UnknownClient
			}
			return fmt.Sprintf(w.Status.ProtectedLast, name, s.Last.Ended.Local().Format("15:04"))
		}
		return w.Status.Protected
	case agent.Ready:
		return w.Status.Ready
	case agent.Working:
		if n := s.Uploads.Active; n != 1 {
			return fmt.Sprintf(w.Status.WorkingMany, n)
		}
		return w.Status.Working
	case agent.Waiting:
		switch n := s.Uploads.Waiting; n {
		case 0:
			return w.Status.WaitingNet
		case 1:
			return w.Status.Waiting
		default:
			return fmt.Sprintf(w.Status.WaitingMany, n)
		}
	case agent.Attention:
		if len(s.Problems) > 0 {
			return s.Problems[0].Text
		}
		return w.Status.Attention
	case agent.Paused:
		if !s.PausedUntil.IsZero() {
			return fmt.Sprintf(w.Status.PausedUntil, s.PausedUntil.Local().Format("15:04"))
		}
		return w.Status.Paused
	}
	return w.Status.Off
}

// Network is the line that names the network.
type Network struct {
	WiFi, Ethernet, Mobile, VPN, Other string // each %s name, except Other
	Unnamed                            string
	Unknown                            string // nothing watches the network
	Offline                            string
	Portal                             string // %s network
	Metered                            string // appended
	Days                               string // %d
	Change                             Change
}

// Change is what happened to the network, as one sentence. "Network" in the comments is a name like "Wi-Fi Home".
type Change struct {
	Moved          string // %s network, %s network
	Up             string // %s network: there was none before
	Lost           string // %s network: there is none now
	Address        string // %s network
	AddressLost    string // %s network
	Gateway        string // %s network
	GatewayLost    string // %s network
	VPNUp, VPNDown string // %s VPN
	Portal         string // %s network
	PortalPassed   string // %s network
	Metered        string // %s network
	Unmetered      string // %s network
	Named          string // %s network, %s name
	Blind          string // nothing can be seen any more
	Asleep         string
	Resumed        string // %s duration
	Same           string // %s network, %s duration
	After          string // %s duration, %s what happened: after a sleep
}

func networkEnglish() Network {
	return Network{
		WiFi: "Wi-Fi %s", Ethernet: "Cable %s", Mobile: "Mobile %s", VPN: "VPN %s", Other: "Network %s",
		Unnamed: "Connected",
		Unknown: "Network changes cannot be seen",
		Offline: "No network",
		Portal:  "%s: sign in on its web page first",
		Metered: ", metered",
		Days:    "%d days",
		Change: Change{
			Moved: "%s -> %s", Up: "connected: %s", Lost: "%s is gone, there is no network",
			Address: "%s: new address", AddressLost: "%s: address lost", Gateway: "%s: new gateway", GatewayLost: "%s: gateway lost",
			VPNUp: "VPN %s is up", VPNDown: "VPN %s is down", Portal: "%s: sign-in page", PortalPassed: "%s: signed in",
			Metered: "%s: metered", Unmetered: "%s: no longer metered", Named: "%s: was called %s",
			Blind: "network changes cannot be seen any more", Asleep: "going to sleep", Resumed: "resumed after %s",
			Same: "%s, as before the sleep of %s", After: "resumed after %s, %s",
		},
	}
}

func networkGerman() Network {
	return Network{
		WiFi: "WLAN %s", Ethernet: "Kabel %s", Mobile: "Mobilfunk %s", VPN: "VPN %s", Other: "Netz %s",
		Unnamed: "Verbunden",
		Unknown: "Netzwechsel sind nicht sichtbar",
		Offline: "Kein Netz",
		Portal:  "%s: zuerst auf der Anmeldeseite anmelden",
		Metered: ", getaktet",
		Days:    "%d Tagen",
		Change: Change{
			Moved: "%s -> %s", Up: "verbunden: %s", Lost: "%s ist weg, es gibt kein Netz",
			Address: "%s: neue Adresse", AddressLost: "%s: Adresse verloren", Gateway: "%s: neues Gateway", GatewayLost: "%s: Gateway verloren",
			VPNUp: "VPN %s ist da", VPNDown: "VPN %s ist weg", Portal: "%s: Anmeldeseite", PortalPassed: "%s: angemeldet",
			Metered: "%s: getaktet", Unmetered: "%s: nicht mehr getaktet", Named: "%s: hieß vorher %s",
			Blind: "Netzwechsel sind nicht mehr sichtbar", Asleep: "geht schlafen", Resumed: "aufgewacht nach %s",
			Same: "%s, wie vor dem Schlaf von %s", After: "aufgewacht nach %s, %s",
		},
	}
}

// NetworkLine names the network in a few words.
func (w *Words) NetworkLine(n agent.Network) string {
	if !n.Online {
		return w.Network.Offline
	}
	line := w.Network.Unnamed
	if n.Name != "" {
		form := w.Network.Other
		switch n.Kind {
		case "wifi":
			form = w.Network.WiFi
		case "ethernet":
			form = w.Network.Ethernet
		case "mobile":
			form = w.Network.Mobile
		case "vpn":
			form = w.Network.VPN
		}
		line = fmt.Sprintf(form, n.Name)
	} else if n.Kind == "" {
		line = w.Network.Unknown
	}
	if n.Portal {
		return fmt.Sprintf(w.Network.Portal, line)
	}
	if n.Metered {
		line += w.Network.Metered
	}
	return line
}

// Client is what is said about one installed client.
type Client struct {
	NotTrusted, NotRouted, NeedsRestart, Bypassed, Ready, Protected string // each %s client
	NotRunning                                                      string // %s client
}

func clientEnglish() Client {
	return Client{
		NotTrusted:   "%s does not trust Holdfast yet.",
		NotRouted:    "%s is running without Holdfast.",
		NeedsRestart: "%s must be restarted to use Holdfast.",
		Bypassed:     "%s was started while Holdfast was not running.",
		Ready:        "%s is ready. Send a file to see it work.",
		Protected:    "%s is protected.",
		NotRunning:   "%s is not running.",
	}
}

func clientGerman() Client {
	return Client{
		NotTrusted:   "%s vertraut Holdfast noch nicht.",
		NotRouted:    "%s läuft ohne Holdfast.",
		NeedsRestart: "%s muss neu gestartet werden, um Holdfast zu benutzen.",
		Bypassed:     "%s wurde gestartet, während Holdfast nicht lief.",
		Ready:        "%s ist bereit. Senden Sie eine Datei, um es zu sehen.",
		Protected:    "%s ist geschützt.",
		NotRunning:   "%s läuft nicht.",
	}
}

// ClientName is how a client is called: "Dino" for "dino".
func ClientName(kind string) string {
	switch kind {
	case "dino":
		return "Dino"
	case "gajim":
		return "Gajim"
	}
	return kind
}

// ClientLine says how one client stands.
func (w *Words) ClientLine(c agent.Client) string {
	form := w.Client.NotRunning
	if c.Running {
		switch c.State {
		case "not-trusted":
			form = w.Client.NotTrusted
		case "needs-restart":
			form = w.Client.NeedsRestart
		case "bypassed":
			form = w.Client.Bypassed
		case "ready":
			form = w.Client.Ready
		case "protected":
			form = w.Client.Protected
		default:
			form = w.Client.NotRouted
		}
	}
	return fmt.Sprintf(form, ClientName(c.Kind))
}
