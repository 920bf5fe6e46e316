package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"holdfast/app/agent"
	"holdfast/app/companion"
	"holdfast/app/control"
	"holdfast/app/words"
)

func (s *shell) status(ctx context.Context, args []string) error {
	fs := flags("status")
	asJSON := fs.Bool("json", false, "")
	if _, err := s.parse(fs, args, 0, 0, ""); err != nil {
		return err
	}
	c, err := s.companion(ctx)
	if err != nil {
		if *asJSON && control.KindOf(err) == control.NotRunning {
			fmt.Fprintln(s.out, `{"schema":1,"status":"off"}`)
		}
		return err
	}
	defer func() { _ = c.Close() }() // everything has been answered
	doc, err := c.GetState(ctx)
	if err != nil {
		return err
	}
	return s.show(doc, *asJSON, func() error {
		var state agent.State
		if err := json.Unmarshal([]byte(doc), &state); err != nil {
			return fmt.Errorf("read the state: %w", err)
		}
		return s.state(state)
	})
}

// state prints a state for people.
func (s *shell) state(st agent.State) error {
	c := s.words.Ctl
	s.say("%s", s.words.StatusLine(st))
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	row := func(label, value string) { fmt.Fprintf(w, "  %s\t%s\n", label, value) }
	row(c.Network, words.Plain(s.words.NetworkLine(st.Network), 0))
	if st.Network.Change != "" {
		row(c.Changed, words.Plain(st.Network.Change, 0)+" ("+s.words.Clock(st.Network.Changed, time.Now())+")")
	}
	if st.Relay.Listen == "" {
		row(c.Relay, c.NotListening)
	} else {
		row(c.Relay, st.Relay.Listen)
	}
	row(c.Uploads, fmt.Sprintf(c.CountRunning, st.Uploads.Active, st.Uploads.Waiting))
	row(c.Keyring, map[agent.Keyring]string{agent.KeyringOK: c.KeyringOK, agent.KeyringLocked: c.KeyringLocked, agent.KeyringAbsent: c.KeyringAbsent}[st.Keyring])
	row(c.AutoFix, map[bool]string{true: c.On, false: c.Off}[st.AutoFix])
	label := c.Clients
	for _, client := range st.Clients {
		row(label, s.words.ClientLine(client))
		label = ""
	}
	if len(st.Clients) == 0 {
		row(label, c.NoClients)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print the state: %w", err)
	}
	for _, p := range st.Problems {
		s.say("\n%s\n  %s", p.Text, p.Remedy)
	}
	return nil
}

func (s *shell) uploads(ctx context.Context, args []string) error {
	fs := flags("uploads")
	asJSON := fs.Bool("json", false, "")
	limit := fs.Uint("limit", 0, "")
	if _, err := s.parse(fs, args, 0, 0, ""); err != nil {
		return err
	}
	svc, _, done, err := s.service(ctx)
	if err != nil {
		return err
	}
	defer done()
	doc, err := svc.Uploads(ctx, uint32(min(*limit, 1<<31)))
	if err != nil {
		return err
	}
	return s.show(doc, *asJSON, func() error {
		var list agent.UploadList
		if err := json.Unmarshal([]byte(doc), &list); err != nil {
			return fmt.Errorf("read the list: %w", err)
		}
		if len(list.Uploads) == 0 {
			s.say("%s", s.words.Ctl.NoUploads)
		}
		for _, u := range list.Uploads {
			s.upload(u, time.Now())
		}
		return nil
	})
}

// upload prints one upload in two or three lines.
func (s *shell) upload(u agent.Upload, now time.Time) {
	at := u.Ended
	if at.IsZero() {
		at = u.Started
	}
	name := u.Client
	if name == "" {
		name = s.words.Upload.UnknownClient
	}
	s.say("%s  %s  %s", s.words.Clock(at, now), s.words.UploadState(u), words.Plain(u.File, 60))
	facts := []string{s.words.UploadAmount(u), words.Plain(name, 40), words.Plain(u.Host, 0)}
	if h := s.words.UploadHistory(u); h != "" {
		facts = append(facts, h)
	}
	s.say("    %s  [%s]", strings.Join(facts, ", "), u.ID)
	if u.Error != "" {
		s.say("    %s", words.Plain(u.Error, 0))
	}
}

func (s *shell) pac(ctx context.Context, args []string) error {
	if _, err := s.parse(flags("pac"), args, 0, 0, ""); err != nil {
		return err
	}
	svc, running, done, err := s.service(ctx)
	if err != nil {
		return err
	}
	defer done()
	var hosts companion.HostsDocument
	if err := ask(&hosts)(svc.Hosts(ctx, "list", "")); err != nil {
		return err
	}
	var listen string
	if running {
		var route companion.RouteDocument
		if err := ask(&route)(svc.RouteStatus(ctx)); err != nil {
			return err
		}
		listen = route.Listen
	} else if listen, err = companion.NewOffline(s.paths, s.options()).Listen(); err != nil {
		return err
	}
	var names []string
	for _, h := range hosts.Hosts {
		names = append(names, h.Host)
	}
	fmt.Fprint(s.out, companion.PAC(names, listen))
	return nil
}

// ask decodes a document into v.
func ask(v any) func(doc string, err error) error {
	return func(doc string, err error) error {
		if err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(doc), v); err != nil {
			return fmt.Errorf("read the companion's answer: %w", err)
		}
		return nil
	}
}
