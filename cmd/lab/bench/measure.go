package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
)

// cell is one measurement: a load, and each peer's rounds.
type cell struct {
	load
	rounds map[string][]sample
}

func (c *cell) name() string {
	return fmt.Sprintf("%s %s %d", c.method, sizeName(c.size), c.conns)
}

func sizeName(n int64) string {
	if n >= mib {
		return fmt.Sprintf("%d MiB", n/mib)
	}
	return fmt.Sprintf("%d KiB", n/kib)
}

// part is all measurements on one kind of file system.
type part struct {
	where string
	peers []string
	cells []*cell
}

// loads are the points of DESIGN's table.
func loads(short bool) []load {
	var all []load
	for _, method := range []string{"PUT", "GET"} {
		for _, size := range []int64{kib, mib, 100 * mib} {
			for _, conns := range []int{1, 8, 64} {
				l := load{method: method, size: size, conns: conns, time: time.Second, most: 1 << 30}
				if short {
					l.time /= 2
				}
				if size == 100*mib {
					l.most = max(conns, 8) // and a second is not enough for all of them
					l.time *= 2
				}
				all = append(all, l)
			}
		}
	}
	return all
}

// results is everything that one run measured.
type results struct {
	parts []*part
	relay *relayCost
	began time.Time
	short bool
}

func measureAll(ctx context.Context, o options, shm string) (*results, error) {
	r := &results{began: time.Now(), short: o.short}
	src, err := newSource(100 * mib)
	if err != nil {
		return nil, err
	}
	defer func() { _ = src.file.Close() }()
	peers := strings.Split(o.peers, ",")
	if o.only == "relay" {
		r.relay, err = measureRelay(ctx, o, shm)
		return r, err
	}
	p, err := measure(ctx, o, "tmpfs", shm, peers, src, o.rounds)
	if err != nil {
		return nil, err
	}
	r.parts = append(r.parts, p)
	if o.disk {
		var stored []string // a server that stores nothing is the same there
		for _, n := range peers {
			if n != "null" {
				stored = append(stored, n)
			}
		}
		if p, err = measure(ctx, o, "disk", filepath.Join(o.dir, "disk"), stored, src, min(o.rounds, 3)); err != nil {
			return nil, err
		}
		r.parts = append(r.parts, p)
	}
	if o.relay && o.only == "" {
		if r.relay, err = measureRelay(ctx, o, shm); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// measure starts the peers below dir and takes all measurements, the peers in turns.
func measure(ctx context.Context, o options, where, dir string, names []string, src *source, rounds int) (_ *part, err error) {
	result := &part{where: where, peers: names}
	var peers []*peer
	defer func() {
		for _, p := range peers {
			_ = p.proc.Close()
			if p.files != "" {
				_ = os.RemoveAll(p.files)
			}
		}
	}()
	for _, name := range names {
		p, err := startPeer(name, o.bin, filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		peers = append(peers, p)
		for _, size := range []int64{kib, mib, 100 * mib} {
			if err := seed(ctx, p, src, size); err != nil {
				return nil, fmt.Errorf("seed %s: %w", name, err)
			}
		}
	}
	for _, l := range loads(o.short) {
		c := &cell{load: l, rounds: map[string][]sample{}}
		if !strings.Contains(c.name(), o.only) {
			continue
		}
		if l.method == "GET" && where == "disk" {
			continue // it comes from the page cache, as on tmpfs
		}
		if !fits(dir, l) {
			fmt.Fprintf(os.Stderr, "%s: %s left out, too little space\n", where, c.name())
			continue
		}
		for round := range rounds {
			// Every other round the order is turned round, so that none always follows the same one.
			for i := range peers {
				p := peers[i]
				if round%2 == 1 {
					p = peers[len(peers)-1-i]
				}
				s, err := l.round(ctx, p, src, fmt.Sprintf("r%d-%s-%d-%d", round, l.method, l.size, l.conns))
				if err != nil {
					return nil, err
				}
				c.rounds[p.name] = append(c.rounds[p.name], s)
			}
		}
		fmt.Fprintf(os.Stderr, "%s: %s\n", where, c.summary(names))
		result.cells = append(result.cells, c)
	}
	return result, nil
}

// round does the load once on clean ground and removes what it made.
func (l load) round(ctx context.Context, p *peer, src *source, name string) (sample, error) {
	if p.files != "" && l.method == "PUT" {
		if err := settle(p.files); err != nil {
			return sample{}, err
		}
	}
	s, err := l.run(ctx, p, src, name)
	if err != nil || l.method != "PUT" || p.files == "" {
		return s, err
	}
	made, err := filepath.Glob(filepath.Join(p.files, name+"-*"))
	if err != nil {
		return s, err
	}
	for _, dir := range made {
		if err := os.RemoveAll(dir); err != nil {
			return s, err
		}
	}
	return s, nil
}

// settle lets the disk finish what an earlier round left it.
func settle(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return unix.Syncfs(int(f.Fd()))
}

// fits tells whether a round of l has room, with a gigabyte left over, which is what the server keeps free.
func fits(dir string, l load) bool {
	if l.method != "PUT" {
		return true
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return true
	}
	need := l.size*int64(min(l.most, 4096)) + 2<<30
	return int64(st.Bavail)*st.Bsize > need
}
