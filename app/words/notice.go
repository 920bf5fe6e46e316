package words

import (
	"fmt"

	"holdfast/app/agent"
)

// Notice is the notifications and their buttons.
type Notice struct {
	Waits         string // %s file
	WaitsBody     string // %s client: why is added in front
	GaveUp        string // %s file
	GaveUpBody    string // %s client
	GaveUpNobody  string // the client is not known
	Stuck         string // %s client
	StuckBody     string // %s client
	Restarts      string // %s client
	RestartsBody  string // %s client, %s client
	Restarted     string // %s client
	RestartedBody string
	Try           string // buttons
	Cancel        string
	Open          string // %s client
	Restart       string
	Later         string
	ClientUnnamed string
}

func noticeEnglish() Notice {
	return Notice{
		Waits: "%s waits", WaitsBody: "%s waits with it. It goes on by itself.",
		GaveUp: "%s was not sent", GaveUpBody: "Send the file again in %s.", GaveUpNobody: "Send the file again.",
		Stuck: "%s cannot send files", StuckBody: "%s has lost its upload server. A restart helps.",
		Restarts: "%s restarts in 30 seconds", RestartsBody: "%s has lost its upload server and cannot send files. No upload and no call is running. %s comes back as it was.",
		Restarted: "%s was restarted", RestartedBody: "Send the file again.",
		Try: "Try now", Cancel: "Cancel", Open: "Open %s", Restart: "Restart now", Later: "Not now",
		ClientUnnamed: "The client",
	}
}

func noticeGerman() Notice {
	return Notice{
		Waits: "%s wartet", WaitsBody: "%s wartet mit. Es geht von selbst weiter.",
		GaveUp: "%s wurde nicht gesendet", GaveUpBody: "Senden Sie die Datei in %s noch einmal.", GaveUpNobody: "Senden Sie die Datei noch einmal.",
		Stuck: "%s kann keine Dateien senden", StuckBody: "%s hat seinen Upload-Server verloren. Ein Neustart hilft.",
		Restarts: "%s startet in 30 Sekunden neu", RestartsBody: "%s hat seinen Upload-Server verloren und kann keine Dateien senden. Es läuft kein Upload und kein Anruf. %s kommt wieder, wie es war.",
		Restarted: "%s wurde neu gestartet", RestartedBody: "Senden Sie die Datei noch einmal.",
		Try: "Jetzt versuchen", Cancel: "Abbrechen", Open: "%s öffnen", Restart: "Jetzt neu starten", Later: "Nicht jetzt",
		ClientUnnamed: "Das Programm",
	}
}

// Announcement is a notice in words.
func (w *Words) Announcement(n agent.Notice) (summary, body string) {
	name := Plain(ClientName(n.Client), 40)
	if name == "" {
		name = w.Notice.ClientUnnamed
	}
	file := Plain(n.File, 60)
	reason := func(rest string) string {
		if n.Reason == "" {
			return rest
		}
		return Plain(n.Reason, 200) + " " + rest
	}
	said := w.Notice
	switch n.Kind {
	case agent.Waits:
		return fmt.Sprintf(said.Waits, file), reason(fmt.Sprintf(said.WaitsBody, name))
	case agent.GaveUp:
		if n.Client == "" {
			return fmt.Sprintf(said.GaveUp, file), reason(said.GaveUpNobody)
		}
		return fmt.Sprintf(said.GaveUp, file), reason(fmt.Sprintf(said.GaveUpBody, name))
	case agent.Stuck:
		return fmt.Sprintf(said.Stuck, name), fmt.Sprintf(said.StuckBody, name)
	case agent.Restarts:
		return fmt.Sprintf(said.Restarts, name), fmt.Sprintf(said.RestartsBody, name, name)
	case agent.Restarted:
		return fmt.Sprintf(said.Restarted, name), said.RestartedBody
	}
	return name, ""
}

// ActionLabel is the label of a button.
func (w *Words) ActionLabel(n agent.Notice, a agent.Action) string {
	switch a {
	case agent.Try:
		return w.Notice.Try
	case agent.Cancel:
		return w.Notice.Cancel
	case agent.Open:
		return fmt.Sprintf(w.Notice.Open, Plain(ClientName(n.Client), 40))
	case agent.Restart:
		return w.Notice.Restart
	case agent.Later:
		return w.Notice.Later
	}
	return string(a)
}
