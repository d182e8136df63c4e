package transfer

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// TestCache: a file that did not change is not sent again, also after a restart, and comes with the headers that name its other pages.
func TestCache(t *testing.T) {
	tag, sent := `"v1"`, 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		sent++
		w.Header().Set("ETag", tag)
		w.Header().Set("Link", `<x>; rel="next"`)
		fmt.Fprint(w, "body ", tag)
	}))
	defer s.Close()
	dir := filepath.Join(t.TempDir(), "cache")
	get := func() File {
		t.Helper()
		c, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		f, err := c.Cached(dir).Get(t.Context(), s.URL, 100)
		if err != nil || string(f.Body) != "body "+tag || f.Header.Get("Link") == "" {
			t.Fatalf("%q, %v, %v", f.Body, f.Header, err)
		}
		return f
	}
	if f := get(); f.NotModified || sent != 1 {
		t.Errorf("first: %+v", f)
	}
	if f := get(); !f.NotModified || sent != 1 {
		t.Errorf("again: %+v, sent %d times", f, sent)
	}
	tag = `"v2"`
	get()
	for _, damage := range []string{"", "{", `{"url":"http://other","etag":"\"v2\"","body":"eA=="}`} {
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		if err := os.WriteFile(files[0], []byte(damage), 0o600); err != nil {
			t.Fatal(err)
		}
		get()
	}
	if sent != 5 {
		t.Errorf("sent %d times, want 5", sent)
	}
}

func TestCacheIsBounded(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"x"`)
		fmt.Fprint(w, "body")
	}))
	defer s.Close()
	c, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dir := t.TempDir()
	for i := range mostCached + 10 {
		if _, err := c.Cached(dir).Get(t.Context(), fmt.Sprint(s.URL, "/", i), 100); err != nil {
			t.Fatal(err)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != mostCached {
		t.Errorf("%d files", len(files))
	}
	// One that cannot be written costs the saving alone.
	if f, err := c.Cached("/dev/null/x").Get(t.Context(), s.URL, 100); err != nil || string(f.Body) != "body" {
		t.Errorf("%q, %v", f.Body, err)
	}
}

func TestPeek(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/file", http.StatusFound)
		case "/file":
			w.Header().Set("Content-Length", "1000000000")
			w.WriteHeader(http.StatusOK)
		case "/page":
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<p>")
		case "/chunked":
			w.(http.Flusher).Flush()
		case "/lost":
			w.WriteHeader(http.StatusFound)
		default:
			http.NotFound(w, r)
		}
	}))
	defer s.Close()
	c, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if to, err := c.Location(t.Context(), s.URL+"/moved"); err != nil || to != s.URL+"/file" {
		t.Errorf("location %s, %v", to, err)
	}
	if n, err := c.Length(t.Context(), s.URL+"/moved"); err != nil || n != 1_000_000_000 {
		t.Errorf("length %d, %v", n, err)
	}
	for path, want := range map[string]error{"/file": ErrMalformed, "/lost": ErrMalformed, "/none": ErrNotFound} {
		if to, err := c.Location(t.Context(), s.URL+path); !errors.Is(err, want) {
			t.Errorf("location of %s: %s, %v", path, to, err)
		}
	}
	for path, want := range map[string]error{"/page": ErrHTML, "/chunked": ErrMalformed, "/none": ErrNotFound} {
		if n, err := c.Length(t.Context(), s.URL+path); !errors.Is(err, want) {
			t.Errorf("length of %s: %d, %v", path, n, err)
		}
	}
}
