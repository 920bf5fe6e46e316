package window

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"holdfast/app/agent"
	"holdfast/app/control"
)

// shown is how many uploads the window lists.
const shown = 100

// Model is what the window knows of the companion. It is a value of its owner's goroutine.
type Model struct {
	State   agent.State
	Uploads []agent.Upload
	meter   map[string]sample
	rates   map[string]float64
}

// sample is where an upload stood at some time.
type sample struct {
	sent int64
	at   time.Time
}

// NewModel knows nothing yet.
func NewModel() *Model {
	m := &Model{}
	m.Gone()
	return m
}

// Gone forgets a companion that has ended. The list stays as a memory of what was; nothing in it runs any more.
func (m *Model) Gone() {
	m.State = agent.State{Status: agent.Off}
	m.Uploads = slices.DeleteFunc(m.Uploads, Running)
	m.meter, m.rates = map[string]sample{}, map[string]float64{}
}

// List takes in the document of Uploads.
func (m *Model) List(doc string, now time.Time) error {
	var l agent.UploadList
	if err := json.Unmarshal([]byte(doc), &l); err != nil {
		return fmt.Errorf("read the list of uploads: %w", err)
	}
	m.Uploads = l.Uploads
	for _, u := range l.Uploads {
		m.measure(u, now)
	}
	return nil
}

// Take takes in one event of the companion.
func (m *Model) Take(e control.Event, now time.Time) error {
	switch e.Kind {
	case "state":
		var s agent.State
		if err := json.Unmarshal([]byte(e.JSON), &s); err != nil {
			return fmt.Errorf("read the companion's state: %w", err)
		}
		m.State = s
	case "upload":
		var u agent.Upload
		if err := json.Unmarshal([]byte(e.JSON), &u); err != nil {
			return fmt.Errorf("read an upload: %w", err)
		}
		m.put(u)
		m.measure(u, now)
	}
	return nil
}

// put replaces an upload or, a new one, puts it first.
func (m *Model) put(u agent.Upload) {
	if i := slices.IndexFunc(m.Uploads, func(o agent.Upload) bool { return o.ID == u.ID }); i >= 0 {
		m.Uploads[i] = u
		return
	}
	m.Uploads = slices.Insert(m.Uploads, 0, u)
	if len(m.Uploads) > shown {
		m.Uploads = m.Uploads[:shown]
	}
}

// window of time over which speed is measured; shorter jumps, longer lags behind a changed network.
const meterTime = time.Second

// measure keeps the speed of an upload. It falls to nothing when the upload waits or starts again.
func (m *Model) measure(u agent.Upload, now time.Time) {
	if u.State != "sending" && u.State != "receiving" {
		delete(m.meter, u.ID)
		delete(m.rates, u.ID)
		return
	}
	last, ok := m.meter[u.ID]
	switch passed := now.Sub(last.at); {
	case !ok || u.Sent < last.sent:
		m.meter[u.ID] = sample{u.Sent, now}
		delete(m.rates, u.ID)
	case passed >= meterTime:
		rate := float64(u.Sent-last.sent) / passed.Seconds()
		if old, ok := m.rates[u.ID]; ok {
			rate = (old + 2*rate) / 3
		}
		m.rates[u.ID] = rate
		m.meter[u.ID] = sample{u.Sent, now}
	}
}
