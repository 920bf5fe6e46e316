package companion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// ports is how many ports are tried after the wanted one.
const ports = 50

// chosen is port.json: the port that was free when the wanted one was not. It is kept, because clients have been
// told of it.
type chosen struct {
	Wanted string `json:"wanted"`
	Used   string `json:"used"`
}

// listen opens the relay's port: the socket that systemd hands over, else the port of last time, else the wanted
// one, else the next that is free. With a listener an error means only that the choice could not be kept.
func listen(ctx context.Context, wanted, stateDir string, getenv func(string) string) (l net.Listener, handed bool, err error) {
	if l, err := inherited(getenv); l != nil || err != nil {
		return l, true, err
	}
	want, err := netip.ParseAddrPort(wanted)
	if err != nil {
		return nil, false, fmt.Errorf("listen on %s: %w", wanted, err)
	}
	file := filepath.Join(stateDir, "port.json")
	tries := []netip.AddrPort{}
	var kept chosen
	if raw, err := os.ReadFile(file); err == nil && json.Unmarshal(raw, &kept) == nil && kept.Wanted == wanted {
		if a, err := netip.ParseAddrPort(kept.Used); err == nil && a.Addr() == want.Addr() {
			tries = append(tries, a)
		}
	}
	for i := 0; i <= ports && int(want.Port())+i <= 65535; i++ {
		tries = append(tries, netip.AddrPortFrom(want.Addr(), want.Port()+uint16(i)))
		if want.Port() == 0 {
			break // the kernel chooses
		}
	}
	var first error
	for _, a := range tries {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", a.String())
		if err != nil {
			if first == nil {
				first = err
			}
			if errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EACCES) {
				continue
			}
			break
		}
		return l, false, keepPort(file, wanted, l.Addr().String(), want.Port() == 0)
	}
	return nil, false, fmt.Errorf("listen on %s: %w", wanted, first)
}

// keepPort remembers a port that is not the wanted one, and forgets when it is.
func keepPort(file, wanted, used string, anyPort bool) error {
	if wanted == used || anyPort {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("forget the chosen port: %w", err)
		}
		return nil
	}
	raw, err := json.Marshal(chosen{wanted, used})
	if err != nil {
		return fmt.Errorf("keep the chosen port: %w", err)
	}
	return replace(file, append(raw, '\n'), 0o600)
}

// lastListen is where the relay listened last, or will.
func lastListen(wanted, stateDir string) string {
	var kept chosen
	raw, err := os.ReadFile(filepath.Join(stateDir, "port.json"))
	if err == nil && json.Unmarshal(raw, &kept) == nil && kept.Wanted == wanted {
		return kept.Used
	}
	return wanted
}

// inherited is the socket of holdfast.socket, or nil (sd_listen_fds(3)).
func inherited(getenv func(string) string) (net.Listener, error) {
	if getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || n < 1 {
		return nil, nil
	}
	const first = 3 // SD_LISTEN_FDS_START
	for fd := first; fd < first+n; fd++ {
		unix.CloseOnExec(fd)
	}
	f := os.NewFile(first, "LISTEN_FD_3")
	l, err := net.FileListener(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("take over the socket of systemd: %w", err)
	}
	a, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil || !a.Addr().IsLoopback() {
		return nil, errors.Join(fmt.Errorf("take over the socket of systemd: %s is not an address of this computer only", l.Addr()), l.Close())
	}
	return l, nil
}

// tellSystemd tells systemd how far we are (sd_notify(3)); without systemd it does nothing.
func tellSystemd(getenv func(string) string, state string) error {
	path := getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	if path[0] == '@' {
		path = "\x00" + path[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	_, err = c.Write([]byte(state))
	return errors.Join(err, c.Close())
}
