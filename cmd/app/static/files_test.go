package static

import (
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tree makes a directory to serve as o says, with a secret beside it.
func tree(t *testing.T, o Options) (*Files, string) {
	t.Helper()
	top := t.TempDir()
	dir := filepath.Join(top, "www")
	for name, text := range map[string]string{
		"secret": "no", "www/index.html": "home", "www/a.txt": "0123456789", "www/sub/index.html": "sub",
		"www/.git/config": "no", "www/.env": "no", "www/bare/x": "x", "www/.well-known/security.txt": "well known", "www/sub/.well-known/x": "no",
	} {
		file := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for from, to := range map[string]string{"out": "../secret", "in": "a.txt", "up": ".."} {
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			t.Fatal(err)
		}
	}
	o.Dir = dir
	f, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	f.now = func() time.Time { return time.Now().Add(time.Hour) } // when the files are old
	return f, dir
}

func get(h http.Handler, method, target string, header ...string) *http.Response {
	r := httptest.NewRequest(method, "/", nil)
	r.URL.Path, r.URL.RawQuery, _ = strings.Cut(target, "?")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFiles(t *testing.T) {
	f, _ := tree(t, Options{})
	for _, tt := range []struct {
		method, path string
		code         int
		body         string
	}{
		{"GET", "/", 200, "home"},
		{"GET", "/a.txt", 200, "0123456789"},
		{"HEAD", "/a.txt", 200, ""},
		{"POST", "/a.txt", 405, "method not allowed\n"},
		{"GET", "/a.txt/", 404, ""},
		{"GET", "/in", 200, "0123456789"},
		{"GET", "/sub/", 200, "sub"},
		{"GET", "/sub", 301, ""},
		{"GET", "/bare/", 404, ""}, // no listing
		{"GET", "/nothing", 404, ""},
		{"GET", "/.env", 404, ""},
		{"GET", "/.git/config", 404, ""},
		{"GET", "/sub/../.env", 404, ""},
		{"GET", "/.well-known/security.txt", 200, "well known"},
		{"GET", "/sub/.well-known/x", 404, ""},
		{"GET", "/out", 404, ""}, // a link that leads outside
		{"GET", "/up/secret", 404, ""},
		{"GET", "/../secret", 404, ""},
		{"GET", "/a.txt\x00", 404, ""},
		{"GET", "/..\\secret", 404, ""},
	} {
		res := get(f, tt.method, tt.path)
		got := body(t, res)
		if res.StatusCode != tt.code || tt.body != "" && got != tt.body {
			t.Errorf("%s %q: %d %q, want %d %q", tt.method, tt.path, res.StatusCode, got, tt.code, tt.body)
		}
	}
	if to := get(f, "GET", "//sub?a=b").Header.Get("Location"); to != "./sub/?a=b" {
		t.Errorf("redirected to %q", to)
	}
}

func TestETag(t *testing.T) {
	f, dir := tree(t, Options{})
	file := filepath.Join(dir, "a.txt")
	first := get(f, "GET", "/a.txt").Header.Get("ETag")
	if !strings.HasPrefix(first, `"`) {
		t.Fatalf("ETag %q, want a strong one", first)
	}
	if res := get(f, "GET", "/a.txt", "If-None-Match", first); res.StatusCode != 304 {
		t.Errorf("unchanged: %d, want 304", res.StatusCode)
	}
	if res := get(f, "GET", "/a.txt", "Range", "bytes=2-4", "If-Range", first); res.StatusCode != 206 || body(t, res) != "234" {
		t.Errorf("range: %d", res.StatusCode)
	}

	fi, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	// Another file of the same length and time, put in place by rename.
	if err := os.WriteFile(file+".new", []byte("9876543210"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file+".new", fi.ModTime(), fi.ModTime()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	res := get(f, "GET", "/a.txt", "Range", "bytes=2-4", "If-Range", first)
	if res.StatusCode != 200 || body(t, res) != "9876543210" {
		t.Errorf("half of an old file was joined to a new one: %d", res.StatusCode)
	}
}

// A file that was just written may be written again without a change of its time.
func TestYoungFilesAreWeaklyTagged(t *testing.T) {
	f, _ := tree(t, Options{})
	f.now = time.Now
	tag := get(f, "GET", "/a.txt").Header.Get("ETag")
	if !strings.HasPrefix(tag, "W/") {
		t.Fatalf("ETag %s, want a weak one", tag)
	}
	if res := get(f, "GET", "/a.txt", "If-None-Match", tag); res.StatusCode != 304 {
		t.Errorf("unchanged: %d, want 304", res.StatusCode)
	}
	if res := get(f, "GET", "/a.txt", "Range", "bytes=2-4", "If-Range", tag); res.StatusCode != 200 {
		t.Errorf("a range by a weak tag: %d, want all of it", res.StatusCode)
	}
}

func TestConditionsAndRanges(t *testing.T) {
	f, _ := tree(t, Options{CacheControl: "max-age=60"})
	whole := get(f, "GET", "/a.txt").Header
	tag, changed := whole.Get("ETag"), whole.Get("Last-Modified")
	for _, tt := range []struct {
		header []string
		code   int
		body   string
	}{
		{nil, 200, "0123456789"},
		{[]string{"If-None-Match", `"x", ` + tag}, 304, ""},
		{[]string{"If-None-Match", "*"}, 304, ""},
		{[]string{"If-Match", tag}, 200, "0123456789"},
		{[]string{"If-Match", `"x"`}, 412, ""},
		{[]string{"If-Modified-Since", changed}, 304, ""},
		{[]string{"If-Unmodified-Since", "Mon, 02 Jan 2006 15:04:05 GMT"}, 412, ""},
		{[]string{"Range", "bytes=-3"}, 206, "789"},
		{[]string{"Range", "bytes=0-0"}, 206, "0"},
		{[]string{"Range", "bytes=8-"}, 206, "89"},
		{[]string{"Range", "bytes=20-"}, 416, ""},
		{[]string{"Range", "bytes=1-2", "If-Range", `"x"`}, 200, "0123456789"},
		{[]string{"Range", "bytes=0-,0-,0-"}, 200, "0123456789"}, // more than there is
	} {
		res := get(f, "GET", "/a.txt", tt.header...)
		got := body(t, res)
		if res.StatusCode != tt.code || tt.body != "" && got != tt.body {
			t.Errorf("%v: %d %q, want %d %q", tt.header, res.StatusCode, got, tt.code, tt.body)
		}
		if kept := res.Header.Get("Cache-Control") != ""; kept != (tt.code < 400 || tt.code == 412) {
			t.Errorf("%v: Cache-Control of a %d: %v", tt.header, tt.code, kept)
		}
	}
	res := get(f, "GET", "/a.txt", "Range", "bytes=1-2,5-6")
	if b := body(t, res); res.StatusCode != 206 || !strings.HasPrefix(res.Header.Get("Content-Type"), "multipart/byteranges") ||
		!strings.Contains(b, "\r\n\r\n12\r\n") || !strings.Contains(b, "\r\n\r\n56\r\n") {
		t.Errorf("two ranges: %d %v %q", res.StatusCode, res.Header, b)
	}
}

func TestOwn404(t *testing.T) {
	f, dir := tree(t, Options{CacheControl: "max-age=60"})
	if err := os.WriteFile(filepath.Join(dir, "404.html"), []byte("<p>lost"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/nothing", "/.env", "/bare/", "/out"} {
		res := get(f, "GET", path, "If-None-Match", "*", "Range", "bytes=0-1")
		if b := body(t, res); res.StatusCode != 404 || b != "<p>lost" || res.Header.Get("Content-Type") != "text/html; charset=utf-8" || res.Header.Get("Cache-Control") != "" {
			t.Errorf("%s: %d %q %v", path, res.StatusCode, b, res.Header)
		}
	}
	if res := get(f, "HEAD", "/nothing"); res.StatusCode != 404 || body(t, res) != "" || res.Header.Get("Content-Length") != "7" {
		t.Errorf("HEAD: %d %v", res.StatusCode, res.Header)
	}
}

func TestFallback(t *testing.T) {
	f, dir := tree(t, Options{Fallback: "index.html"})
	for path, want := range map[string]int{"/some/page": 200, "/some/": 200, "/app.js": 404, "/.env": 404, "/out": 404, "/a.txt": 200} {
		res := get(f, "GET", path)
		if b := body(t, res); res.StatusCode != want || want == 200 && path != "/a.txt" && b != "home" {
			t.Errorf("%s: %d %q, want %d", path, res.StatusCode, b, want)
		}
	}
	if _, err := Open(Options{Dir: dir, Fallback: "sub"}); err == nil {
		t.Error("a directory as fallback")
	}
}

// FuzzFileName: whatever the path, nothing hidden and nothing that climbs is asked of the root, which would refuse it anyway.
func FuzzFileName(f *testing.F) {
	for _, p := range []string{"/", "/a/b", "//a/../b/", "/..", "/.well-known/x", "/a\\b", "/a\x00", "/%2e%2e/", "a", "/x/.y"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		name, ok := fileName(p)
		if !ok {
			return
		}
		if !fs.ValidPath(name) || strings.ContainsAny(name, "\x00\\") {
			t.Errorf("%q: %q", p, name)
		}
		for i, element := range strings.Split(name, "/") {
			if strings.HasPrefix(element, ".") && name != "." && (i > 0 || element != wellKnown) {
				t.Errorf("%q: %q is hidden", p, name)
			}
		}
	})
}
