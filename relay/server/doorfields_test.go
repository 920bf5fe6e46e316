package server

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTusMetadata(t *testing.T) {
	for _, tt := range []struct {
		name, field string
		want        map[string]string
	}{
		{"nothing", "", map[string]string{}},
		{"a key without a value", "is_confidential", map[string]string{"is_confidential": ""}},
		{"the example of the protocol", "filename d29ybGRfZG9taW5hdGlvbl9wbGFuLnBkZg==,is_confidential", map[string]string{"filename": "world_domination_plan.pdf", "is_confidential": ""}},
		{"spaces after commas", "a QQ==, b Qg==", map[string]string{"a": "A", "b": "B"}},
		{"a value that is no text", "a /w==", map[string]string{"a": "\xff"}},
		{"without padding", "a QQ", nil},
		{"bits that mean nothing", "a QR==", nil},
		{"an empty key", ",a QQ==", nil},
		{"a key twice", "a QQ==,a Qg==", nil},
		{"a key that is not ascii", "\xc3\xa4 QQ==", nil},
	} {
		got, err := tusMetadata(tt.field)
		if diff := cmp.Diff(tt.want, got); diff != "" || (err == nil) != (tt.want != nil) {
			t.Errorf("%s: %v\n%s", tt.name, err, diff)
		}
	}
}

func FuzzTusMetadata(f *testing.F) {
	f.Add("filename d29ybGQ=,is_confidential")
	f.Add(", ,")
	f.Add("a QQ==,a QQ==")
	f.Fuzz(func(t *testing.T, field string) {
		m, err := tusMetadata(field)
		if err != nil {
			if refusalOf(err) != ErrBadRequest {
				t.Errorf("%q: %v", field, err)
			}
			return
		}
		var again []string
		for k, v := range m {
			again = append(again, k+" "+base64.StdEncoding.EncodeToString([]byte(v)))
		}
		if len(field) > tusMetadataLimit/2 {
			return
		}
		back, err := tusMetadata(strings.Join(again, ","))
		if diff := cmp.Diff(m, back); diff != "" || err != nil {
			t.Errorf("%q: %v\n%s", field, err, diff)
		}
	})
}

func FuzzTusChecksum(f *testing.F) {
	f.Add("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=")
	f.Add("sha256 ")
	f.Fuzz(func(t *testing.T, field string) {
		c, err := tusChecksum(http.Header{"Upload-Checksum": {field}})
		if err != nil && refusalOf(err) != ErrBadRequest || c != nil && len(c.Sum) != c.Hash.Size() {
			t.Errorf("%q: %+v, %v", field, c, err)
		}
	})
}

func FuzzDecimal(f *testing.F) {
	for _, s := range []string{"0", "-1", "NaN", "9223372036854775808", "1e3", "007"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := decimal(s)
		if !ok {
			return
		}
		if want := strings.TrimLeft(s, "0"); strconv.FormatInt(n, 10) != want && (n != 0 || want != "") || n < 0 {
			t.Errorf("%q is %d", s, n)
		}
	})
}

// Whatever the header says, what comes out is a path below the prefix or nothing.
func FuzzSlotHeader(f *testing.F) {
	for _, s := range []string{"/upload/a/b?v2=00", "//x/upload/a/b", "/upload/../a/b", "/upload/a%2fb/c", "/upload/%2e%2e/x", "/upload/.holdfast/v1/info", "http://x/upload/a/b"} {
		f.Add(s)
	}
	s := &Server{prefix: "/upload/"}
	f.Fuzz(func(t *testing.T, field string) {
		sl, err := s.slotAt(&http.Request{Header: http.Header{slotHeader: {field}}}, 1, "")
		if err != nil {
			if ref := refusalOf(err); ref.Status != 400 {
				t.Errorf("%q: %v", field, err)
			}
			return
		}
		if strings.HasPrefix(sl.path, ".") || strings.Contains("/"+sl.path+"/", "/../") || !strings.HasPrefix(sl.fullPath, "/upload/") {
			t.Errorf("%q opens %q", field, sl.path)
		}
	})
}

func FuzzDraftFields(f *testing.F) {
	f.Add("8", "?1", "100")
	f.Add("6;a=1", "?0", "-0")
	f.Fuzz(func(t *testing.T, version, complete, length string) {
		h := http.Header{interopHeader: {version}, "Upload-Complete": {complete}, "Upload-Length": {length}}
		if v, ok := interopOf(h); ok && v != interop6 && v != interop8 {
			t.Errorf("%q is version %d", version, v)
		}
		if n, ok := fieldInteger(h.Values("Upload-Length")); ok && n < 0 {
			t.Errorf("%q is %d", length, n)
		}
		_, _ = fieldBoolean(h.Values("Upload-Complete"))
	})
}
