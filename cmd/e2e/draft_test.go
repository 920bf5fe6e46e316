package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"holdfast/cmd/lab"
)

// curl with a few headers is a client of draft-ietf-httpbis-resumable-upload: it sees 104, and goes on after a cut.
func TestCurlResumesByTheIETFDraft(t *testing.T) {
	ca, err := lab.NewCA(t.TempDir(), "Lab Public CA")
	if err != nil {
		t.Fatal(err)
	}
	srv, cutter := behindCutter(t, ca, serverOptions{})
	const size = 8 << 20
	file, sum := randomFile(t, "film.mp4", size)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"6", "8"} {
		for _, http := range []string{"--http1.1", "--http2"} {
			t.Run("interop "+version+" "+http, func(t *testing.T) {
				url, _ := srv.sign(t, "-scheme", "v2", "-path", "draft"+version+http+"/film.mp4", "-size", strconv.Itoa(size), "-type", "video/mp4")
				common := []string{"-v", "-sS", http, "--cacert", ca.File, "-H", "Upload-Draft-Interop-Version: " + version}
				run := func(args ...string) (headers string, err error) {
					_, headers, err = curl(t, append(common, args...)...)
					return headers, err
				}
				cutter.Limit(64 << 20) // slow enough for the server to keep up
				cutter.CutAfter(3 << 20)
				headers, err := run("-T", file, "-H", "Content-Type: video/mp4", "-H", "Upload-Complete: ?1", url)
				cutter.CutAfter(0)
				cutter.Limit(0)
				location := field(headers, "location")
				if err == nil || !regexp.MustCompile(`(?m)^< HTTP/[12.]+ 104`).MatchString(headers) || !strings.HasPrefix(location, "/upload/.holdfast/v1/draft/") {
					t.Fatalf("no 104, or no cut: %v\n%s", err, headers)
				}
				if got := field(headers, "upload-draft-interop-version"); got != version {
					t.Errorf("104 of version %q", got)
				}
				location = "https://" + uploadHost + location

				headers, err = run("-I", location)
				at, convErr := strconv.Atoi(field(headers, "upload-offset"))
				if err != nil || convErr != nil || field(headers, "upload-complete") != "?0" || at < 1 || at >= size { // a reset throws away what the server has not read yet
					t.Fatalf("%v\n%s", err, headers)
				}
				part := func(from, to int) string {
					name := filepath.Join(t.TempDir(), "part")
					if err := os.WriteFile(name, content[from:to], 0o600); err != nil {
						t.Fatal(err)
					}
					return name
				}
				patch := func(offset int, complete, file string) string {
					headers, err := run("-X", "PATCH", "-T", file, "-H", "Content-Type: application/partial-upload",
						"-H", "Upload-Offset: "+strconv.Itoa(offset), "-H", "Upload-Complete: "+complete, location)
					if err != nil {
						t.Fatalf("%v\n%s", err, headers)
					}
					return headers
				}
				if h := patch(at+1, "?1", part(at+1, size)); !strings.Contains(h, " 409") || field(h, "upload-offset") != strconv.Itoa(at) {
					t.Errorf("a wrong offset:\n%s", h)
				}
				if h := patch(at, "?0", part(at, at+1<<20)); field(h, "upload-complete") != "?0" {
					t.Errorf("a part:\n%s", h)
				}
				if h := patch(at+1<<20, "?1", part(at+1<<20, size)); !strings.Contains(h, " 201") || field(h, "upload-complete") != "?1" {
					t.Errorf("the last part:\n%s", h)
				}
				if got := download(t, ca, url); got != sum {
					t.Errorf("the stored file has SHA-256 %s, want %s", got, sum)
				}
				if _, err := run("-f", "-X", "DELETE", location); err != nil {
					t.Errorf("delete: %v", err)
				}
				if got := download(t, ca, url); got != sum {
					t.Errorf("the file went with its upload")
				}
			})
		}
	}
}

// field finds the first value of a response header in what curl -v prints.
func field(trace, name string) string {
	for line := range strings.Lines(trace) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(k, "< "+name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
