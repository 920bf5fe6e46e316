package server_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/relay/server"
	"holdfast/relay/server/admit"
	"holdfast/relay/server/resume"
	"holdfast/relay/server/store"
	"holdfast/relay/token"
)

// dimStore cannot open one file once another request has published it.
type dimStore struct {
	*store.Disk
	from, opens atomic.Int32 // from that many opens on it fails; 0: it does not
}

func (d *dimStore) Open(path string) (store.File, error) {
	if n := d.from.Load(); n > 0 && d.opens.Add(1) >= n {
		return nil, errors.New("too many open files")
	}
	return d.Disk.Open(path)
}

// A disk that cannot be read now says nothing of the bytes: 409 would be the end of the upload for client and relay.
func TestALoserThatCannotBeComparedNowIsAskedToTryAgain(t *testing.T) {
	ds := &dimStore{}
	l := newLab(t, func(c *server.Config) {
		ds.Disk = c.Store.(*store.Disk)
		c.Store = ds
	})
	s := l.resuming("dim/file", 5)
	want(t, s.patch(0, "he"), 204, "")
	want(t, l.put(s.slot, "hello"), 201, "") // a plain PUT overtakes it
	ds.opens.Store(0)
	ds.from.Store(1)
	want(t, s.patch(2, "llo"), 503, "unavailable")
	ds.from.Store(0)
	wantAt(t, s.head(), 204, 5, "?0")
	want(t, s.patch(5, ""), 201, "")
	s.mustBe("hello")
}

// An id is good only at the door that gave it out.
func TestTheSlotDoorKnowsOnlyItsOwnUploads(t *testing.T) {
	l := newLab(t)
	sl := l.sign(token.V2, "doors/file", 5)
	resp := l.do(http.MethodPost, l.base+"/upload/.holdfast/v1/tus/", strings.NewReader(""),
		"Holdfast-Slot: "+strings.TrimPrefix(sl.url, l.base), "Tus-Resumable: 1.0.0", "Upload-Length: 5", "Upload-Metadata: filetype dGV4dC9wbGFpbg==")
	want(t, resp, 201, "")
	s := &resuming{l, sl, filepath.Base(resp.Header.Get("Location")), 5}
	if _, ok := resume.ParseID(s.id); !ok {
		t.Fatalf("id %q", s.id)
	}
	want(t, s.head(), 409, "other-upload")
	want(t, s.patch(0, "hello"), 409, "other-upload")
	want(t, l.put(sl, "hello", "Holdfast-Upload: "+s.id), 409, "other-upload")
	want(t, l.do(http.MethodPatch, l.base+resp.Header.Get("Location"), strings.NewReader("hello"),
		"Tus-Resumable: 1.0.0", "Upload-Offset: 0", "Content-Type: application/offset+octet-stream"), 204, "")
	s.mustBe("hello")
}

// An upload that was begun in time may end long after its token: the slot stays used for as long.
func TestASlotStaysUsedAsLongAsAnUploadToItMayGoOn(t *testing.T) {
	l := newLab(t, func(c *server.Config) { c.Settings.Windows = admit.Windows{} })
	s := &resuming{l, l.sign(token.JWT, "long/file", 5), string(resume.NewID()), 5}
	want(t, s.patch(0, "he"), 204, "")
	want(t, l.put(s.slot, "first"), 201, "")
	if err := os.RemoveAll(filepath.Join(l.files(), "long")); err != nil {
		t.Fatal(err)
	}
	l.clock.Add(int64(71 * time.Hour / time.Second))
	want(t, s.patch(2, "llo"), 409, "slot-used")
	want(t, l.do(http.MethodGet, l.base+"/upload/long/file", nil), 404, "not-found")
	published(t, l.files())
}
