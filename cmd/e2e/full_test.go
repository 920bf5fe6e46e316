package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // to hold the server's database

	"holdfast/cmd/lab"
)

// disk is a server whose folders lie on small file systems of the test's own mount namespace.
type disk struct {
	*killLoad
	mount string
	proc  *lab.Process
}

// startOnDisk starts a server with its files, and if whole is set its state too, on a tmpfs of the given size.
func startOnDisk(t *testing.T, size int, whole bool, limits string) *disk {
	t.Helper()
	k := newKillLoad(t)
	k.http.Timeout = 20 * time.Second // far above what an orderly answer takes
	mount := k.dir
	if !whole {
		mount = filepath.Join(k.dir, "files")
	}
	if err := os.MkdirAll(mount, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", mount, "tmpfs", 0, "size="+strconv.Itoa(size)); err != nil {
		t.Fatalf("mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(mount, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	k.config = plainConfig(t, k.dir, k.addr, limits)
	return &disk{killLoad: k, mount: mount, proc: k.start()}
}

// fill takes all room but what is to stay free.
func (d *disk) fill(free int64) {
	d.t.Helper()
	f, err := os.OpenFile(filepath.Join(d.mount, "filler"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for piece := 64 << 10; piece > 0; piece /= 4 {
		for err == nil {
			_, err = f.Write(make([]byte, piece))
		}
		if !errors.Is(err, unix.ENOSPC) {
			d.t.Fatal(err)
		}
		err = nil
	}
	fi, err := f.Stat()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := f.Truncate(max(0, fi.Size()-free)); err != nil {
		d.t.Fatal(err)
	}
}

func (d *disk) free() {
	d.t.Helper()
	if err := os.Remove(filepath.Join(d.mount, "filler")); err != nil {
		d.t.Fatal(err)
	}
}

func (d *disk) put(path string, data []byte) *http.Response {
	d.t.Helper()
	resp, err := d.send(d.t.Context(), http.MethodPut, slot(d.t, d.addr, path, len(data)), data)
	if err != nil {
		d.t.Fatalf("PUT %s: %v", path, err)
	}
	return resp
}

// expect checks an answer; every refusal for want of room or health says when to come again.
func (d *disk) expect(what string, resp *http.Response, status int) {
	d.t.Helper()
	if resp.StatusCode != status {
		d.t.Errorf("%s: %s, want %d", what, resp.Status, status)
	}
	if status >= 500 && resp.Header.Get("Retry-After") == "" {
		d.t.Errorf("%s: no Retry-After", what)
	}
}

func (d *disk) holds(path string, data []byte) {
	d.t.Helper()
	resp, err := http.Get("http://" + d.addr + "/upload/" + path) //nolint:noctx // the test's own server
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !bytes.Equal(got, data) {
		d.t.Errorf("GET %s: %s, %d bytes, %v", path, resp.Status, len(got), err)
	}
}

// slowPut sends a part of a file, calls between, and sends the rest.
func (d *disk) slowPut(path string, data []byte, part int, between func()) *http.Response {
	d.t.Helper()
	r, w := io.Pipe()
	ctx, cancel := context.WithTimeout(d.t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, slot(d.t, d.addr, path, len(data)), r)
	if err != nil {
		d.t.Fatal(err)
	}
	req.ContentLength = int64(len(data))
	req.Header.Set("Content-Type", "text/plain")
	type result struct {
		resp *http.Response
		err  error
	}
	answer := make(chan result, 1)
	go func() {
		resp, err := d.http.Do(req)
		answer <- result{resp, err}
	}()
	_, _ = w.Write(data[:part])
	between()
	_, _ = w.Write(data[part:]) // the server may have answered already
	_ = w.Close()
	a := <-answer
	if a.err != nil {
		d.t.Fatalf("slow PUT %s: %v", path, a.err)
	}
	_ = a.resp.Body.Close()
	return a.resp
}

func pattern(n int) []byte { return bytes.Repeat([]byte("holdfast"), n/8+1)[:n] }

func TestTheDiskFillsUpAtAnyMoment(t *testing.T) {
	d := startOnDisk(t, 8<<20, false, "min_free = 0\n")
	d.expect("the first file", d.put("there/file", pattern(100_000)), 201)
	large := pattern(2 << 20)
	refused := 0
	for moment := range 11 {
		name := fmt.Sprintf("moment-%d", moment)
		resp := d.slowPut(name+"/large", large, moment*len(large)/10, func() { d.fill(64 << 10) })
		if resp.StatusCode != http.StatusCreated { // the last moment may be too late for the disk to refuse
			refused++
			d.expect(name, resp, 507)
			if resp.Header.Get("Holdfast-Error") != "storage-full" {
				t.Errorf("%s: Holdfast-Error %q", name, resp.Header.Get("Holdfast-Error"))
			}
		}
		d.holds("there/file", pattern(100_000))
		d.expect(name+": a large one while the disk is full", d.put(name+"/other", large), 507)
		d.expect(name+": a small one that fits", d.put(name+"/small", pattern(1000)), 201)
		d.holds(name+"/small", pattern(1000))
		d.free()
		d.expect(name+": the same again with room", d.put(name+"/large", large), 201)
		d.holds(name+"/large", large)
		if err := os.RemoveAll(filepath.Join(d.mount, name)); err != nil {
			t.Fatal(err)
		}
		if n := d.leftovers(); n > 0 {
			t.Errorf("%s: %d temporary files are left", name, n)
		}
	}
	if refused < 8 {
		t.Errorf("only %d of 11 uploads met a full disk", refused)
	}
}

func TestAFloorOfFreeSpaceIsKept(t *testing.T) {
	d := startOnDisk(t, 8<<20, false, "min_free = \"5MB\"\n")
	d.expect("above the floor", d.put("floor/small", pattern(1<<20)), 201)
	d.expect("below the floor", d.put("floor/large", pattern(3<<20)), 507)
	d.holds("floor/small", pattern(1<<20))
}

func TestTheStateLiesOnTheFullDiskToo(t *testing.T) {
	d := startOnDisk(t, 16<<20, true, "min_free = 0\n")
	d.expect("the first file", d.put("there/file", pattern(1000)), 201)
	d.fill(0)
	for i := range 20 { // for longer than the ledger waits to write
		began := time.Now()
		d.expect("no room at all", d.put(fmt.Sprintf("none/%d", i), pattern(10_000)), 507)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the refusal took %v", took)
		}
		d.holds("there/file", pattern(1000))
		<-time.After(100 * time.Millisecond) // time for the ledger to try and fail
	}
	// A little room for files, none for the ledger's log: it may be either, but in order.
	d.free()
	d.fill(40 << 10)
	for i := range 10 {
		resp := d.put(fmt.Sprintf("little/%d", i), pattern(2000))
		if resp.StatusCode != 201 {
			d.expect("little room", resp, 507)
		}
	}
	d.free()
	d.expect("with room again", d.put("again/file", pattern(100_000)), 201)
	d.holds("again/file", pattern(100_000))
	d.restart()
	if err := os.RemoveAll(filepath.Join(d.dir, "files", "again")); err != nil {
		t.Fatal(err)
	}
	d.expect("the slot after a restart, its file deleted", d.put("again/file", pattern(100_000)), 409)
	d.holds("there/file", pattern(1000))
}

// restart stops the server in order and starts it again.
func (d *disk) restart() {
	d.t.Helper()
	if err := d.proc.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	if err := d.proc.Wait(d.t.Context()); err != nil {
		d.t.Errorf("stop: %v", err)
	}
	d.proc = d.start()
}

func TestTheStoreBecomesReadOnlyAndWritableAgain(t *testing.T) {
	d := startOnDisk(t, 8<<20, false, "min_free = 0\n")
	d.expect("the first file", d.put("there/file", pattern(1000)), 201)
	remount := func(flags uintptr) {
		t.Helper()
		if err := unix.Mount("none", d.mount, "", unix.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	remount(unix.MS_RDONLY)
	d.expect("read-only", d.put("other/file", pattern(1000)), 503)
	d.holds("there/file", pattern(1000))
	d.expect("a repeat needs no room", d.put("there/file", pattern(1000)), 201)
	remount(0)
	d.expect("writable again", d.put("other/file", pattern(1000)), 201)
}

func TestAnotherProgramHoldsTheDatabase(t *testing.T) {
	d := startOnDisk(t, 8<<20, false, "min_free = 0\n")
	db, err := sql.Open("sqlite", filepath.Join(d.dir, "state", "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(t.Context(), "BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	hold := 5 * time.Second
	if os.Getenv("HOLDFAST_SOAK") != "" {
		hold = 40 * time.Second
	}
	stored, refused := []string{}, 0
	for began := time.Now(); time.Since(began) < hold; <-time.After(200 * time.Millisecond) {
		path := fmt.Sprintf("locked/%d", len(stored)+refused)
		asked := time.Now()
		if resp := d.put(path, pattern(1000)); resp.StatusCode == http.StatusCreated {
			d.holds(path, pattern(1000))
			stored = append(stored, path)
		} else {
			d.expect(path, resp, 503)
			refused++
		}
		if took := time.Since(asked); took > 5*time.Second {
			t.Errorf("the answer took %v", took)
		}
	}
	if hold > 35*time.Second && refused == 0 {
		t.Error("a ledger that cannot be written for so long takes uploads still")
	}
	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for i := 0; ; i++ {
		resp := d.put(fmt.Sprintf("after/%d", i), pattern(1000))
		if resp.StatusCode == http.StatusCreated {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the lock is gone, and still: %s", resp.Status)
		}
		<-time.After(100 * time.Millisecond)
	}
	d.restart()
	for _, path := range stored {
		if err := os.Remove(filepath.Join(d.mount, path)); err != nil {
			t.Errorf("%s was acknowledged: %v", path, err)
		}
		d.expect("a slot used under the lock", d.put(path, pattern(1000)), 409)
	}
	t.Logf("%s: %d stored, %d refused", strings.TrimSuffix(hold.String(), "0s"), len(stored), refused)
}
