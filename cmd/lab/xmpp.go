package lab

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed scripts/slot.py
var slotScript string

//go:embed scripts/receive.py
var receiveScript string

// debianPython is the interpreter that Debian's python3-slixmpp belongs to; the python3 in PATH may be another.
const debianPython = "/usr/bin/python3"

// XMPP is a running XMPP server on loopback.
type XMPP struct {
	Name   string // prosody or ejabberd
	IP     string
	Port   int               // client connections, STARTTLS offered, not required
	Upload map[string]string // XMPP domain -> address of its upload service

	proc  *Process
	log   string // path of the server's own log
	after func() // runs before the process group is ended
}

// Account is one of the accounts that every domain of an XMPP server has.
type Account struct{ JID, Password string }

// Alice sends.
func (x *XMPP) Alice(domain string) Account { return Account{"alice@" + domain, "pw-alice"} }

// Bob receives.
func (x *XMPP) Bob(domain string) Account { return Account{"bob@" + domain, "pw-bob"} }

// Log returns the end of the server's log, for the message of a failing test.
func (x *XMPP) Log() string { return Tail(x.log, 4<<10) }

// Close ends the server.
func (x *XMPP) Close() error {
	if x.after != nil {
		x.after()
	}
	return x.proc.Close()
}

// Tail returns the last n bytes of a file.
func Tail(path string, n int64) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	if fi, err := f.Stat(); err == nil && fi.Size() > n {
		_, _ = f.Seek(-n, io.SeekEnd)
	}
	b, _ := io.ReadAll(f)
	return string(b)
}

// SlotRequest is what a client asks its server for.
type SlotRequest struct {
	Service     string `json:"service"`
	Filename    string `json:"filename"`
	Size        int64  `json:"size"`
	ContentType string `json:"content_type,omitempty"`
}

// Slot is the server's answer.
type Slot struct {
	SlotRequest
	Put     string            `json:"put"`
	Get     string            `json:"get"`
	Headers map[string]string `json:"headers"`
	Error   string            `json:"error"`
}

// Slots asks for slots as a real client (slixmpp), all in one session.
func (x *XMPP) Slots(ctx context.Context, a Account, requests []SlotRequest) ([]Slot, error) {
	var in, out, errs bytes.Buffer
	enc := json.NewEncoder(&in)
	for _, r := range requests {
		if err := enc.Encode(r); err != nil {
			return nil, err
		}
	}
	cmd := exec.CommandContext(ctx, debianPython, "-c", slotScript, x.IP, strconv.Itoa(x.Port), a.JID, a.Password)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("ask %s for slots: %w\n%s", x.Name, err, errs.String())
	}
	var slots []Slot
	for dec := json.NewDecoder(&out); ; {
		var s Slot
		if err := dec.Decode(&s); errors.Is(err, io.EOF) {
			return slots, nil
		} else if err != nil {
			return nil, fmt.Errorf("read the slots: %w", err)
		}
		if s.Error != "" {
			return nil, fmt.Errorf("%s refused a slot for %q: %s", x.Name, s.Filename, s.Error)
		}
		slots = append(slots, s)
	}
}

// Received is what the receiving client got.
type Received struct {
	URL    string `json:"url"`
	OOB    string `json:"oob"` // the link as XEP-0066 data, empty if the message had only a text
	From   string `json:"from"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
	Type   string `json:"type"`
	Error  string `json:"error"`
}

// Receiver is a client (slixmpp) that waits for one message with a link and downloads the file, without a proxy.
type Receiver struct {
	proc *Process
	out  string
	errs string
}

// Receive logs in and returns when the client is ready. Files go below dir; caFile is what the client trusts.
func (x *XMPP) Receive(dir string, a Account, caFile string) (*Receiver, error) {
	r := &Receiver{out: filepath.Join(dir, "receiver.out"), errs: filepath.Join(dir, "receiver.err")}
	ready := filepath.Join(dir, "receiver.ready")
	out, err := os.Create(r.out)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	errs, err := os.Create(r.errs)
	if err != nil {
		return nil, err
	}
	defer func() { _ = errs.Close() }()
	cmd := exec.Command(debianPython, "-c", receiveScript, x.IP, strconv.Itoa(x.Port), a.JID, a.Password, caFile, ready)
	cmd.Stdout, cmd.Stderr = out, errs
	if r.proc, err = Start(cmd); err != nil {
		return nil, err
	}
	if err := WaitFile(ready, r.proc, 30*time.Second); err != nil {
		_ = r.proc.Close()
		return nil, fmt.Errorf("log %s in at %s: %w\n%s", a.JID, x.Name, err, Tail(r.errs, 2<<10))
	}
	return r, nil
}

// Wait waits for the message and the download.
func (r *Receiver) Wait(ctx context.Context) (Received, error) {
	defer func() { _ = r.proc.Close() }()
	err := r.proc.Wait(ctx)
	b, _ := os.ReadFile(r.out)
	var got Received
	if jerr := json.Unmarshal(bytes.TrimSpace(b), &got); jerr != nil && err == nil {
		err = jerr
	}
	if err != nil {
		return got, fmt.Errorf("receive: %w: %s\n%s", err, got.Error, Tail(r.errs, 2<<10))
	}
	return got, nil
}

// Close ends a receiver that nobody waits for any more.
func (r *Receiver) Close() error { return r.proc.Close() }

// SendFile uploads file as account a with go-sendxmpp, through the proxy given ("" for none), and sends the link to
// the receiver. caFile holds every CA the client trusts: the XMPP server's, and the relay's for the upload host.
func (x *XMPP) SendFile(ctx context.Context, home string, a Account, to, file, caFile, proxy string) error {
	cmd := exec.CommandContext(ctx, "go-sendxmpp", "-u", a.JID, "-p", a.Password,
		"-j", net.JoinHostPort(x.IP, strconv.Itoa(x.Port)), "-h", file, to)
	cmd.Env = append(cleanEnv(), "HOME="+home, "SSL_CERT_FILE="+caFile, "SSL_CERT_DIR=/nonexistent")
	if proxy != "" {
		cmd.Env = append(cmd.Env, "https_proxy="+proxy)
	}
	cmd.Stdin = strings.NewReader("")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go-sendxmpp: %w\n%s", err, out)
	}
	return nil
}

// cleanEnv is PATH and the language: nothing of the person's desktop, proxies or trust.
func cleanEnv() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}
}
