package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// median of at least one value.
func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

func (c *cell) median(peer string, of func(sample) float64) float64 {
	var all []float64
	for _, s := range c.rounds[peer] {
		all = append(all, of(s))
	}
	return median(all)
}

// ratio is the median of the ratios round by round.
func (c *cell) ratio(a, b string, of func(sample) float64) float64 {
	var all []float64
	for i, s := range c.rounds[a] {
		if other := of(c.rounds[b][i]); other > 0 {
			all = append(all, of(s)/other)
		}
	}
	if len(all) == 0 {
		return 0
	}
	return median(all)
}

func (c *cell) has(peer string) bool { return len(c.rounds[peer]) > 0 }

func p99(s sample) float64  { return float64(s.p99) }
func peak(s sample) float64 { return float64(s.peak) }

// rate is requests per second for small files, MiB per second for others.
func (c *cell) rate(peer string) string {
	if !c.has(peer) {
		return "-"
	}
	v := c.median(peer, sample.perSecond)
	if c.size < mib {
		return fmt.Sprintf("%.0f/s", v)
	}
	return fmt.Sprintf("%.0f MiB/s", v*float64(c.size)/float64(mib))
}

func duration(ns float64) string {
	d := time.Duration(ns)
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.0f us", float64(d)/1e3)
	case d < 10*time.Second:
		return fmt.Sprintf("%.0f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// summary is a line for whoever waits.
func (c *cell) summary(peers []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-16s", c.name())
	for _, p := range peers {
		fmt.Fprintf(&b, "  %s %s, cpu %s, p99 %s, rss %.0f MiB;", p, c.rate(p), duration(c.median(p, sample.perRequest)),
			duration(c.median(p, p99)), c.median(p, peak)/float64(mib))
	}
	if c.has("holdfast") && c.has("nginx") {
		fmt.Fprintf(&b, "  to nginx: throughput %.2f, cpu %.2f", c.ratio("holdfast", "nginx", sample.perSecond), c.ratio("holdfast", "nginx", sample.perRequest))
	}
	return b.String()
}
