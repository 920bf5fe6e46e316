package control

import (
	"encoding/json"
	"sync"

	"holdfast/app/agent"
)

// room is how many events a slow view may lag behind before it loses the oldest.
const room = 64

// Hub gives what happens to every transport and every listener on it.
type Hub struct {
	mu        sync.Mutex // guards all following fields
	listeners map[*listener]struct{}
	last      *agent.State
	ended     bool
}

type listener struct{ c chan news }

// news is an Event before it is a document; state is nil for uploads.
type news struct {
	Event
	state *agent.State
}

// NewHub returns a Hub without listeners.
func NewHub() *Hub { return &Hub{listeners: map[*listener]struct{}{}} }

// State tells the new state. It never blocks.
func (h *Hub) State(s agent.State) {
	doc, err := json.Marshal(s)
	if err != nil {
		return // a State always marshals
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = &s
	h.send(news{Event{Kind: "state", JSON: string(doc)}, &s})
}

// Upload tells about one upload. It never blocks.
func (h *Hub) Upload(u agent.Upload) {
	doc, err := json.Marshal(u)
	if err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.send(news{Event{Kind: "upload", JSON: string(doc)}, nil})
}

// Close ends every listener's channel.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	for l := range h.listeners {
		close(l.c)
	}
	clear(h.listeners)
}

// send is called with mu held.
func (h *Hub) send(n news) {
	for l := range h.listeners {
		for sent := false; !sent; {
			select {
			case l.c <- n:
				sent = true
			default:
				select { // the oldest goes: each document is whole, so the newest is worth more
				case <-l.c:
				default:
				}
			}
		}
	}
}

// listen returns what happens from now on, and first the present state if there is one; leave ends it.
func (h *Hub) listen() (<-chan news, func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := &listener{c: make(chan news, room)}
	if h.ended {
		close(l.c)
		return l.c, func() {}
	}
	if h.last != nil {
		if doc, err := json.Marshal(h.last); err == nil {
			l.c <- news{Event{Kind: "state", JSON: string(doc)}, h.last}
		}
	}
	h.listeners[l] = struct{}{}
	return l.c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if _, there := h.listeners[l]; there {
			delete(h.listeners, l)
			close(l.c)
		}
	}
}
