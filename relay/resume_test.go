package relay

import (
	"net/http"
	"strconv"
	"testing"
)

// way is one to a server that is cut again and again, as a function: how much of a request that was cut the server has.
type way struct {
	every int64                         // bytes handed over on a connection when it is cut; 0: never
	keeps func(l leg, sent int64) int64 // of a request that was cut after sent bytes
}

// walk sends an upload of size bytes over p and returns what was sent again, how often it was cut, and what is known at the end.
func (p way) walk(t *testing.T, res *resumption, size int64) (again, cuts int64) {
	t.Helper()
	var stored, sent, onConn int64
	head := func(offset int64, more ...string) http.Header {
		h := http.Header{"Holdfast-Api": {"/"}, "Upload-Offset": {strconv.FormatInt(offset, 10)}, "Upload-Length": {strconv.FormatInt(size, 10)}}
		for i := 0; i+1 < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return h
	}
	for range 100_000 {
		l := res.next(size)
		switch {
		case l.kind == ask && stored == 0:
			res.learn(l, answer{status: http.StatusNotFound, header: http.Header{"Holdfast-Api": {"/"}, "Holdfast-Error": {"no-upload"}}}, size)
			continue
		case l.kind == ask:
			res.learn(l, answer{status: http.StatusNoContent, header: head(stored, "Upload-Complete", "?0")}, size)
			continue
		case l.from != stored:
			t.Fatalf("a request from %d, and the server has %d", l.from, stored)
		case p.every > 0 && onConn+l.size() > p.every:
			n := p.every - onConn
			sent, onConn, cuts = sent+n, 0, cuts+1
			stored += p.keeps(l, n)
			res.learn(l, answer{err: errStalled, sent: n, begun: n > 0}, size)
			continue
		}
		sent, onConn, stored = sent+l.size(), onConn+l.size(), l.to
		if stored == size {
			return sent - size, cuts
		}
		res.learn(l, answer{status: http.StatusNoContent, header: head(stored), sent: l.size(), whole: true}, size)
	}
	t.Fatal("the upload does not end")
	return 0, 0
}

func TestWhatACutCosts(t *testing.T) {
	const mib = 1 << 20
	loses := func(n int64) func(leg, int64) int64 { return func(_ leg, sent int64) int64 { return max(0, sent-n) } }
	// What is in buffers of a connection that streams; a piece waits for its answer, so there is less.
	buffers := func(l leg, sent int64) int64 { return max(0, sent-min(400<<10, l.size()/8)) }
	nothing := func(leg, int64) int64 { return 0 }
	for _, tt := range []struct {
		name   string
		path   way
		size   int64
		most   func(cuts int64) int64 // sent again
		pieces bool                   // at the end
		known  bool                   // for the next upload to this server
	}{
		{"a path without cuts is streamed", way{}, 256 * mib, func(int64) int64 { return 0 }, false, false},
		{"cuts that cost little are streamed over", way{8 * mib, loses(64 << 10)}, 256 * mib, func(cuts int64) int64 { return cuts * 64 << 10 }, false, false},
		{"cuts that cost more than a hundredth get pieces", way{8 * mib, buffers}, 256 * mib, func(int64) int64 { return 256 * mib / 100 }, true, false},
		{"a dear cut once in a long while is borne", way{100 * mib, loses(600 << 10)}, 512 * mib, func(cuts int64) int64 { return cuts * 600 << 10 }, false, false},
		{"a proxy that holds requests back gets pieces, also the next time", way{8 * mib, nothing}, 256 * mib, func(cuts int64) int64 { return cuts * mib }, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res := newResumption(http.Header{}, tt.size, 0)
			again, cuts := tt.path.walk(t, &res, tt.size)
			if most := tt.most(cuts); again > most {
				t.Errorf("%d bytes were sent again over %d cuts, more than %d", again, cuts, most)
			}
			if tt.path.every > 0 && cuts < tt.size/tt.path.every-1 {
				t.Errorf("only %d cuts", cuts)
			}
			if got := res.piece > 0; got != tt.pieces {
				t.Errorf("pieces of %d at the end", res.piece)
			}
			if got := res.bound() > 0; got != tt.known {
				t.Errorf("the next upload begins with pieces of %d", res.bound())
			}
		})
	}
}

func TestPiecesEndOnceEnoughGotThroughWithoutACut(t *testing.T) {
	const size = 256 << 20
	told := func(offset int64) http.Header {
		return http.Header{
			"Holdfast-Api": {"/"}, "Upload-Offset": {strconv.FormatInt(offset, 10)}, "Upload-Length": {strconv.Itoa(size)}, "Upload-Complete": {"?0"},
		}
	}
	res := newResumption(http.Header{}, size, 0)
	res.learn(res.next(size), answer{err: errStalled, sent: 8 << 20, begun: true}, size)
	res.learn(res.next(size), answer{status: http.StatusNoContent, header: told(8<<20 - 300<<10)}, size)
	begun := res.offset
	for res.piece > 0 {
		l := res.next(size)
		if l.kind != part || l.size() > maxPiece {
			t.Fatalf("%+v is no piece", l)
		}
		res.learn(l, answer{status: http.StatusNoContent, sent: l.size(), whole: true, header: told(l.to)}, size)
	}
	if got := res.offset - begun; got < near || got > near+maxPiece {
		t.Errorf("pieces ended after %d bytes, not %d", got, int64(near))
	}
	if l := res.next(size); l.kind != part || l.to != size {
		t.Errorf("then %+v, not all that is missing", l)
	}
}
