package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree makes a directory to serve, with a secret beside it.
func tree(t *testing.T) (*files, string) {
	t.Helper()
	top := t.TempDir()
	dir := filepath.Join(top, "www")
	for name, text := range map[string]string{
		"secret": "no", "www/index.html": "home", "www/a.txt": "0123456789", "www/sub/index.html": "sub",
		"www/.git/config": "no", "www/.env": "no", "www/bare/x": "x",
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
	f, err := openFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.root.Close() })
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
	f, _ := tree(t)
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
	f, dir := tree(t)
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

func TestDebug(t *testing.T) {
	f, _ := tree(t)
	h := debugHandler(f)
	for path, code := range map[string]int{"/debug/sleep?ms=1": 200, "/debug/sleep": 400, "/debug/sleep?ms=-1": 400, "/a.txt": 200} {
		res := get(h, "GET", path)
		if res.StatusCode != code || res.Header.Get("X-Version") != version || res.Header.Get("X-Pid") == "" {
			t.Errorf("%s: %d %v, want %d", path, res.StatusCode, res.Header, code)
		}
	}
}
