package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// bar is one number to reach.
type bar struct {
	what, want, got string
	reached         bool
}

// The numbers to reach. A ratio counts as reached within the noise of a shared machine.
const (
	putThroughput = 1.0
	putCPU        = 1.3
	getThroughput = 0.9
	mostMemory    = 32 * mib
	mostRelay     = 1.15
	mostAgain     = 0.01
	noise         = 0.03
)

// markdown is what goes into the document.
func (r *results) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s by `%s`: %s.\n\n", r.began.Format(time.DateOnly), r.command(), machine())
	if bars := r.bars(); len(bars) > 0 {
		b.WriteString("| bar | to reach | measured | |\n|---|---|---|---|\n")
		for _, x := range bars {
			mark := "**not reached**"
			if x.reached {
				mark = "reached"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", x.what, x.want, x.got, mark)
		}
	}
	for _, p := range r.parts {
		b.WriteString(p.markdown())
	}
	if r.relay != nil {
		b.WriteString(r.relay.markdown())
	}
	return b.String()
}

func (r *results) command() string {
	if r.short {
		return "make bench BENCHFLAGS=-short"
	}
	return "make bench"
}

func machine() string {
	var u unix.Utsname
	_ = unix.Uname(&u) // an empty release says enough
	load, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(load), " ")
	server := "no nginx"
	if program, err := nginxProgram(); err == nil {
		if out, err := exec.Command(program, "-v").CombinedOutput(); err == nil {
			server = strings.TrimSpace(strings.TrimPrefix(string(out), "nginx version: "))
		}
	}
	return fmt.Sprintf("%d cores, Linux %s, %s, %s; clients and servers share the cores, load at the end %s",
		runtime.NumCPU(), unix.ByteSliceToString(u.Release[:]), runtime.Version(), server, first)
}

func (r *results) bars() []bar {
	var all []bar
	for _, p := range r.parts {
		if p.where == "tmpfs" {
			all = append(all, p.bars()...)
		}
	}
	if c := r.relay; c != nil {
		ratio := c.ratio()
		again := float64(c.again) / float64(cutSize)
		all = append(all,
			bar{"relay added to 100 MiB over TLS", "<= +15 % wall time", fmt.Sprintf("%+.0f %%", (ratio-1)*100), ratio <= mostRelay+noise},
			bar{
				fmt.Sprintf("256 MiB cut every 8 MiB (%d cuts)", c.cuts), "identical, <= 1 % sent again",
				fmt.Sprintf("identical: %t, %.2f %%, handshakes included", c.same, again*100), c.same && again <= mostAgain,
			})
	}
	return all
}

func (p *part) bars() []bar {
	var all []bar
	for _, c := range p.cells {
		if !c.has("holdfast") || !c.has("nginx") {
			continue
		}
		want := putThroughput
		if c.method == "GET" {
			want = getThroughput
		}
		t := c.ratio("holdfast", "nginx", sample.perSecond)
		all = append(all, bar{c.title(), fmt.Sprintf(">= %.1f x nginx", want), fmt.Sprintf("%.2f x", t), t >= want-noise})
		if c.method == "PUT" && c.size == kib {
			cpu := c.ratio("holdfast", "nginx", sample.perRequest)
			all = append(all, bar{c.title() + ", CPU", fmt.Sprintf("<= %.1f x nginx", putCPU), fmt.Sprintf("%.2f x", cpu), cpu <= putCPU+noise})
		}
		if c.method == "PUT" && c.size == 100*mib && c.conns == 64 {
			rss := c.median("holdfast", peak)
			all = append(all, bar{
				"peak RSS at 64 x 100 MiB PUT", fmt.Sprintf("<= %d MiB", mostMemory/mib),
				fmt.Sprintf("%.0f MiB", rss/float64(mib)), rss <= float64(mostMemory),
			})
		}
	}
	return all
}

func (c *cell) title() string {
	return fmt.Sprintf("%s %s, %d connections", c.method, sizeName(c.size), c.conns)
}

func (p *part) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n### On %s\n\n", p.where)
	if p.where == "disk" {
		b.WriteString("Here the comparison is not even: an answer of holdfast-server means that the file is on disk, nginx leaves that to the kernel.\n\n")
	}
	b.WriteString("| | conns |")
	line := "|---|--:|"
	for _, n := range p.peers {
		fmt.Fprintf(&b, " %s | CPU | p99 | RSS |", n)
		line += "--:|--:|--:|--:|"
	}
	b.WriteString(" to nginx | CPU to nginx |\n" + line + "--:|--:|\n")
	for _, c := range p.cells {
		fmt.Fprintf(&b, "| %s %s | %d |", c.method, sizeName(c.size), c.conns)
		for _, n := range p.peers {
			if !c.has(n) {
				b.WriteString(" | | | |")
				continue
			}
			fmt.Fprintf(&b, " %s | %s | %s | %.0f MiB |", c.rate(n), duration(c.median(n, sample.perRequest)),
				duration(c.median(n, p99)), c.median(n, peak)/float64(mib))
		}
		if c.has("holdfast") && c.has("nginx") {
			fmt.Fprintf(&b, " %.2f | %.2f |\n", c.ratio("holdfast", "nginx", sample.perSecond), c.ratio("holdfast", "nginx", sample.perRequest))
		} else {
			b.WriteString(" | |\n")
		}
	}
	return b.String()
}

// ratio is the median of relayed to direct, upload by upload.
func (c *relayCost) ratio() float64 {
	var all []float64
	for i, d := range c.direct {
		all = append(all, float64(c.relayed[i].wall)/float64(d.wall))
	}
	return median(all)
}

func (c *relayCost) markdown() string {
	mid := func(s []sample, of func(sample) float64) float64 {
		var all []float64
		for _, x := range s {
			all = append(all, of(x))
		}
		return median(all)
	}
	wall := func(s sample) float64 { return float64(s.wall) }
	cpu := func(s sample) float64 { return float64(s.cpu) }
	var relay []float64
	for _, d := range c.relayCPU {
		relay = append(relay, float64(d))
	}
	return fmt.Sprintf(`
### The relay

One upload of 100 MiB over TLS on loopback, the same client and server, files and spool on tmpfs.

| | wall | CPU of the server | CPU of the relay |
|---|--:|--:|--:|
| direct | %s | %s | |
| through the relay | %s | %s | %s |
`, duration(mid(c.direct, wall)), duration(mid(c.direct, cpu)), duration(mid(c.relayed, wall)), duration(mid(c.relayed, cpu)), duration(median(relay)))
}
