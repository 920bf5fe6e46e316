package main

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/relay/server"
	"holdfast/relay/token"
)

// duration is a length of time: "90s", "8h", "1h30m", "30d". Empty is zero.
type duration time.Duration

// UnmarshalText reads a duration.
func (d *duration) UnmarshalText(b []byte) error {
	s := strings.TrimSpace(string(b))
	if s == "" {
		*d = 0
		return nil
	}
	if n, ok := strings.CutSuffix(s, "d"); ok {
		days, err := strconv.ParseUint(n, 10, 16)
		if err == nil {
			*d = duration(time.Duration(days) * 24 * time.Hour)
			return nil
		}
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a length of time; write it like \"120s\", \"8h\" or \"30d\"", s)
	}
	*d = duration(v)
	return nil
}

// String is the short form, without the zeros that time.Duration has.
func (d duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// size is a number of bytes: "500MB", "10GB", 1048576. K, M, G and T count in 1024, as XMPP servers do. Empty is zero.
type size int64

// UnmarshalText reads a size.
func (z *size) UnmarshalText(b []byte) error {
	s := strings.ReplaceAll(strings.TrimSpace(string(b)), "_", "")
	if s == "" {
		*z = 0
		return nil
	}
	bad := fmt.Errorf("%q is not a size; write it like \"500MB\", \"10GB\" or a number of bytes", s)
	num := strings.TrimRight(s, "KMGTBkmgtbi ")
	unit := strings.ToUpper(strings.TrimSpace(s[len(num):]))
	unit = strings.TrimSuffix(strings.TrimSuffix(unit, "B"), "I")
	shift, ok := map[string]int{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[unit]
	if !ok {
		return bad
	}
	if n, err := strconv.ParseInt(num, 10, 64); err == nil {
		if n < 0 || n > int64(math.MaxInt64)>>shift {
			return bad
		}
		*z = size(n << shift)
		return nil
	}
	f, err := strconv.ParseFloat(num, 64)
	if err != nil || shift == 0 || !(f >= 0) || f > float64(int64(math.MaxInt64)>>shift) {
		return bad
	}
	*z = size(f * float64(int64(1)<<shift))
	return nil
}

// String is the largest whole unit.
func (z size) String() string {
	for _, u := range []struct {
		shift int
		name  string
	}{{40, "TB"}, {30, "GB"}, {20, "MB"}, {10, "KB"}} {
		if n := int64(z) >> u.shift; n > 0 && n<<u.shift == int64(z) {
			return strconv.FormatInt(n, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(z), 10)
}

// pace is a number of uploads in a time: "30/m", "500/h". Empty is no limit.
type pace server.Rate

// UnmarshalText reads a pace.
func (p *pace) UnmarshalText(b []byte) error {
	s := strings.TrimSpace(string(b))
	if s == "" {
		*p = pace{}
		return nil
	}
	number, unit, ok := strings.Cut(s, "/")
	n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 31)
	every, known := map[string]time.Duration{
		"s": time.Second, "m": time.Minute, "min": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
		"second": time.Second, "minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour,
	}[strings.ToLower(strings.TrimSpace(unit))]
	if !ok || err != nil || n == 0 || !known {
		return fmt.Errorf("%q is not a number of uploads in a time; write it like \"30/m\", \"500/h\" or \"2000/d\"", s)
	}
	*p = pace{Uploads: int(n), Every: every}
	return nil
}

// scheme is a token scheme.
type scheme struct{ token.Scheme }

// UnmarshalText reads the name of a scheme.
func (s *scheme) UnmarshalText(b []byte) error {
	v, err := token.ParseScheme(string(b))
	s.Scheme = v
	return err
}

// secret is a shared secret; like token.Secret it never prints itself.
type secret struct{ token.Secret }

// UnmarshalText reads a secret.
func (s *secret) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		return fmt.Errorf("a secret is empty")
	}
	s.Secret = slices.Clone(b)
	return nil
}

// subnet is an address or a network.
type subnet struct{ netip.Prefix }

// UnmarshalText reads "127.0.0.1", "10.0.0.0/8" or "::1/128".
func (n *subnet) UnmarshalText(b []byte) error {
	s := string(b)
	if a, err := netip.ParseAddr(s); err == nil {
		n.Prefix = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
		return nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return fmt.Errorf("%q is not an address or a network like \"127.0.0.1/32\"", s)
	}
	n.Prefix = p.Masked()
	return nil
}

// oneOf is a word out of a fixed list.
type oneOf[V interface{ values() []string }] struct{ word string }

// UnmarshalText reads the word.
func (o *oneOf[V]) UnmarshalText(b []byte) error {
	var v V
	w := strings.ToLower(string(b))
	if !slices.Contains(v.values(), w) {
		return fmt.Errorf("%q must be one of %s", w, strings.Join(v.values(), ", "))
	}
	o.word = w
	return nil
}

// String is the word.
func (o oneOf[V]) String() string { return o.word }

func prefixes(nets []subnet) []netip.Prefix {
	out := make([]netip.Prefix, len(nets))
	for i, n := range nets {
		out[i] = n.Prefix
	}
	return out
}
