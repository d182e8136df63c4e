package static

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// sendfile is a response as net/http's own is: it wants to read from a file itself.
type sendfile struct {
	*httptest.ResponseRecorder
	from io.Reader
}

func (s *sendfile) ReadFrom(r io.Reader) (int64, error) {
	s.from = r
	return io.Copy(s.ResponseRecorder, r)
}

// The kernel sends a file if the connection gets it as a syscall.Conn, limited or not, and with a length known before.
func TestSendfile(t *testing.T) {
	f, dir := tree(t, Options{})
	later := f.now()
	for name, size := range map[string]int{"big.css": small + 1, "big.css.gz": small + 1, "small.css": small} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
		os.Chtimes(filepath.Join(dir, name), later, later)
	}
	r, w := httptest.NewRequest("GET", "/small.css", nil), &sendfile{ResponseRecorder: httptest.NewRecorder()}
	if f.ServeHTTP(w, r); w.from != nil || w.Body.Len() != small {
		t.Errorf("a small file: sent from %T, %d bytes", w.from, w.Body.Len())
	}
	for _, accept := range []string{"", "gzip"} {
		r := httptest.NewRequest("GET", "/big.css", nil)
		r.Header.Set("Accept-Encoding", accept)
		w := &sendfile{ResponseRecorder: httptest.NewRecorder()}
		f.ServeHTTP(w, r)
		limited, ok := w.from.(*io.LimitedReader)
		if !ok {
			t.Fatalf("%q: read from %T", accept, w.from)
		}
		if _, ok := limited.R.(syscall.Conn); !ok || w.Header().Get("Content-Length") == "" {
			t.Errorf("%q: read from %T, %v", accept, limited.R, w.Header())
		}
		if got := w.Header().Get("Content-Encoding"); got != accept {
			t.Errorf("%q: encoding %q", accept, got)
		}
	}
}

func BenchmarkFiles(b *testing.B) {
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.css"), make([]byte, 1000), 0o644); err != nil {
		b.Fatal(err)
	}
	long := time.Now().Add(-time.Hour)
	os.Chtimes(filepath.Join(dir, "a.css"), long, long)
	f, err := Open(Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for name, h := range map[string]http.Handler{"static": f, "FileServer": http.FileServer(http.Dir(dir))} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest("GET", "/a.css", nil)
			r.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd")
			for b.Loop() {
				h.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}
