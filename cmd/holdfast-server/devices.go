package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"holdfast/relay/server"
	"holdfast/relay/token"
)

const devicesHelp = `
holdfast-server devices looks after the devices of people: keys in the keyrings of their computers, with which the relay
of Holdfast proves who sends an upload whose token is too old (docs/devices.md). It works while the server runs, and
without it.

  devices list [-user JID] [-all] [-json]     user, device, when it was made, when it was last used
  devices add -user JID [-for 24h]            print a one-time code, which makes one device of this user; it is shown once
  devices revoke DEVICE...                    end devices; a revoked key enrols again only with a code
  devices revoke -user JID                    end all devices and codes of a user, after a lost notebook for example

With devices.enrol = "slot" in the configuration a device enrols by itself with the first upload of its person, and a code
is never needed; with "code" only a code enrols. Give a code to the person over a way that you trust; they type it into
"holdfastctl device add" on their computer.

Examples:
  holdfast-server devices list -config /etc/holdfast/server.toml
  holdfast-server devices add -config /etc/holdfast/server.toml -user alice@example.org
  holdfast-server devices revoke -config /etc/holdfast/server.toml aLFzpwwCFTTtYAAkYTWQ2g

Exit codes: 0 done, 1 a device is not there or something went wrong, 2 the command line or the configuration is wrong.
`

// maxCodeLife is how long a one-time code may be good.
const maxCodeLife = 30 * 24 * time.Hour

// devicesFlags is the command line of devices.
type devicesFlags struct {
	user        string
	all, asJSON bool
	life        time.Duration
	names       []string
}

// devices looks after the devices of people.
func devices(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := flags("devices", devicesHelp, stderr)
	var d devicesFlags
	file := f.String("config", "", "configuration `FILE`")
	site := f.String("site", "", "`NAME` of the [[site]], if there are several")
	f.StringVar(&d.user, "user", "", "bare `JID`")
	f.BoolVar(&d.all, "all", false, "list: also revoked devices")
	f.BoolVar(&d.asJSON, "json", false, "list: one JSON object a line")
	f.DurationVar(&d.life, "for", 24*time.Hour, "add: how long the code is good, a `TIME` like 24h")
	rest, help, err := parse(f, args, 1<<16)
	if help || err != nil {
		return err
	}
	if len(rest) == 0 {
		return usageError{errors.New("say what to do: devices list, add or revoke")}
	}
	verb := rest[0]
	d.names = rest[1:]
	do, ok := map[string]func(*adminCalls, devicesFlags) error{
		"list": (*adminCalls).listDevices, "add": (*adminCalls).addDevice, "revoke": (*adminCalls).revokeDevices,
	}[verb]
	switch {
	case !ok:
		return usageError{fmt.Errorf("unknown verb %q: devices list, add or revoke", verb)}
	case verb != "revoke" && len(d.names) > 0:
		return usageError{fmt.Errorf("unexpected argument %q", d.names[0])}
	case verb == "revoke" && (d.user == "") == (len(d.names) == 0):
		return usageError{errors.New("devices revoke: name devices, or a user with -user")}
	case verb == "add" && d.user == "":
		return usageError{errors.New("devices add: -user is missing")}
	case d.user != "" && !token.IsBareJID(d.user):
		return usageError{fmt.Errorf("-user %q is not a bare JID like alice@example.org", d.user)}
	case d.life <= 0 || d.life > maxCodeLife:
		return usageError{fmt.Errorf("-for %s: a code is good for up to %s", d.life, maxCodeLife)}
	}
	c, err := loadFlag(*file)
	if err != nil {
		return err
	}
	if c, err = c.oneSite(*site); err != nil {
		return usageError{err}
	}
	return withAdmin(ctx, c, stderr, func(client *http.Client) error {
		return do(&adminCalls{ctx, client, c, stdout, stderr}, d)
	})
}

func (a *adminCalls) listDevices(d devicesFlags) (err error) {
	body, err := a.call(http.MethodGet, "/devices?user="+url.QueryEscape(d.user), nil)
	if err != nil {
		return err
	}
	var list []server.AdminDevice
	if err := errors.Join(json.NewDecoder(body).Decode(&list), body.Close()); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	out := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	defer func() { err = errors.Join(err, out.Flush()) }()
	if !d.asJSON {
		fmt.Fprintln(out, "USER\tDEVICE\tMADE\tLAST USED")
	}
	lines := json.NewEncoder(a.stdout)
	for _, dev := range list {
		if dev.Revoked != nil && !d.all {
			continue
		}
		if d.asJSON {
			if err := lines.Encode(dev); err != nil {
				return err
			}
			continue
		}
		line := []string{printable(dev.Who), printable(dev.ID), dev.Made.UTC().Format(time.RFC3339), dev.Used.UTC().Format(time.RFC3339)}
		if dev.Revoked != nil {
			line = append(line, "revoked "+dev.Revoked.UTC().Format(time.RFC3339))
		}
		fmt.Fprintln(out, strings.Join(line, "\t"))
	}
	return nil
}

// orderDevice sends an order.
func (a *adminCalls) orderDevice(verb string, o server.AdminDeviceOrder) (res server.AdminDeviceResult, err error) {
	body, err := a.call(http.MethodPost, "/devices/"+verb, o)
	if err != nil {
		return res, err
	}
	if err := errors.Join(json.NewDecoder(body).Decode(&res), body.Close()); err != nil {
		return res, fmt.Errorf("read the server's answer: %w", err)
	}
	if res.Error != "" {
		return res, errors.New(res.Error)
	}
	return res, nil
}

func (a *adminCalls) addDevice(d devicesFlags) error {
	res, err := a.orderDevice("add", server.AdminDeviceOrder{Who: d.user, For: d.life})
	if err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, res.Code)
	fmt.Fprintf(a.stderr, "One device of %s can enrol with this code until %s. It is not shown again.\n", d.user, res.Until.UTC().Format(time.RFC3339))
	return nil
}

func (a *adminCalls) revokeDevices(d devicesFlags) error {
	if d.user != "" {
		res, err := a.orderDevice("revoke", server.AdminDeviceOrder{Who: d.user})
		a.saidRevoked(res)
		if err == nil && res.Missing {
			fmt.Fprintln(a.stderr, "holdfast-server:", d.user, "has no devices; codes that were made are void")
		}
		return err
	}
	return a.each(d.names, func(name string) (string, bool, error) {
		res, err := a.orderDevice("revoke", server.AdminDeviceOrder{ID: name})
		a.saidRevoked(res)
		return "there is no such device: " + printable(name), res.Missing, err
	})
}

func (a *adminCalls) saidRevoked(res server.AdminDeviceResult) {
	for _, dev := range res.Revoked {
		fmt.Fprintf(a.stdout, "revoked %s of %s\n", dev.ID, printable(dev.Who))
	}
}
