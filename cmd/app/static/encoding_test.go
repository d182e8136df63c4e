package static

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const all = set(1<<len(encodings) - 1)

func TestChoose(t *testing.T) {
	for _, tt := range []struct {
		accept string
		have   set
		want   string
	}{
		{"", all, ""},
		{"gzip, deflate, br, zstd", all, "zstd"},
		{"gzip, deflate, br", all, "br"},
		{"gzip, deflate, br, zstd", 4, "gzip"},
		{"gzip, deflate, br, zstd", 0, ""},
		{"gzip;q=1.0, br;q=0.5", all, "gzip"},
		{"gzip;q=0.001, br;q=0", all, "gzip"},
		{"GZIP ; Q=1", all, "gzip"},
		{"x-gzip", all, "gzip"},
		{"*", all, "zstd"},
		{"*;q=0.1, zstd;q=0", all, "br"},
		{"zstd;q=0, br;q=0.000, gzip;q=0", all, ""},
		{"gzip;q=0.5, identity", all, ""},
		{"gzip, identity;q=0.5", all, "gzip"},
		{"gzip;q=2", all, ""},
		{"gzip;q=-1", all, ""},
		{"gzip;q=0.1234", all, ""},
		{"gzip;q=", all, ""},
		{"gzip;level=9", all, ""},
		{"gzipped, abr", all, ""},
		{",,;,;q=1,", all, ""},
	} {
		got := ""
		if i, ok := choose([]string{tt.accept}, tt.have); ok {
			got = encodings[i].name
		}
		if got != tt.want {
			t.Errorf("%q of %03b: %q, want %q", tt.accept, tt.have, got, tt.want)
		}
	}
	if i, ok := choose([]string{"br;q=0.5", "gzip"}, all); !ok || encodings[i].name != "gzip" {
		t.Error("two lines are not read as one")
	}
}

func FuzzChoose(f *testing.F) {
	for _, a := range []string{"gzip, deflate, br, zstd", "*;q=0", "gzip;q=0.5;q=1", ",;=", "identity;q=1, *;q=0.999"} {
		f.Add(a, uint8(7))
	}
	f.Fuzz(func(t *testing.T, accept string, have uint8) {
		i, ok := choose([]string{accept}, set(have)&all)
		if !ok {
			return
		}
		if have&(1<<i) == 0 {
			t.Errorf("%q: %s, which is not there", accept, encodings[i].name)
		}
		low := strings.ToLower(accept)
		if !strings.Contains(low, encodings[i].name) && !strings.Contains(low, "*") {
			t.Errorf("%q: %s, which was not asked for", accept, encodings[i].name)
		}
	})
}

func TestSiblings(t *testing.T) {
	f, dir := tree(t, Options{})
	clock := f.now()
	f.now = func() time.Time { return clock }
	write := func(name, text string, age time.Duration) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		at := clock.Add(-age)
		if err := os.Chtimes(filepath.Join(dir, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	write("app.js", "original", 2*time.Hour)
	plain := get(f, "GET", "/app.js", "Accept-Encoding", "gzip")
	if plain.Header.Get("Vary") != "" || plain.Header.Get("Content-Encoding") != "" {
		t.Fatalf("without siblings: %v", plain.Header)
	}
	write("app.js.gz", "gzipped bytes", 2*time.Hour)
	write("app.js.br", "brotli bytes!!", time.Hour)
	if res := get(f, "GET", "/app.js", "Accept-Encoding", "gzip"); res.Header.Get("Content-Encoding") != "" {
		t.Error("siblings are looked for at each request")
	}
	clock = clock.Add(lookAgain)

	tags := map[string]string{}
	for accept, want := range map[string]string{"gzip": "gzipped bytes", "gzip, br": "brotli bytes!!", "": "original", "zstd": "original"} {
		res := get(f, "GET", "/app.js", "Accept-Encoding", accept)
		h := res.Header
		if b := body(t, res); b != want || h.Get("Vary") != "Accept-Encoding" || h.Get("Content-Length") != strconv.Itoa(len(want)) ||
			!strings.HasPrefix(h.Get("Content-Type"), "text/javascript") || (h.Get("Content-Encoding") != "") != (want != "original") {
			t.Errorf("%q: %q %v", accept, b, h)
		}
		tags[want] = h.Get("ETag")
	}
	if len(tags) != 3 || tags["original"] == tags["gzipped bytes"] || tags["gzipped bytes"] == tags["brotli bytes!!"] {
		t.Errorf("one tag for two representations: %v", tags)
	}
	part := get(f, "GET", "/app.js", "Accept-Encoding", "gzip", "Range", "bytes=0-3", "If-Range", tags["gzipped bytes"])
	if b := body(t, part); part.StatusCode != 206 || b != "gzip" || part.Header.Get("Content-Range") != "bytes 0-3/13" || part.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("a range of the encoded bytes: %d %q %v", part.StatusCode, b, part.Header)
	}
	if res := get(f, "GET", "/app.js", "Accept-Encoding", "br", "Range", "bytes=0-3", "If-Range", tags["gzipped bytes"]); res.StatusCode != 200 {
		t.Errorf("a range was joined to that of another encoding: %d", res.StatusCode)
	}
	for code, header := range map[int][]string{304: {"If-None-Match", tags["gzipped bytes"]}, 412: {"If-Match", `"x"`}, 416: {"Range", "bytes=99-"}} {
		res := get(f, "GET", "/app.js", append(header, "Accept-Encoding", "gzip")...)
		if n := res.Header.Get("Content-Length"); res.StatusCode != code || n == "13" || res.Header.Get("Vary") == "" {
			t.Errorf("%v: %d %v", header, res.StatusCode, res.Header)
		}
	}
	if res := get(f, "GET", "/app.js.gz", "Accept-Encoding", "gzip"); res.Header.Get("Content-Encoding") != "" {
		t.Error("a compressed file that was asked for is called encoded")
	}

	write("app.js", "original, changed", 0)
	if b := body(t, get(f, "GET", "/app.js", "Accept-Encoding", "gzip")); b != "original, changed" {
		t.Errorf("a sibling of the old content: %q", b)
	}
	os.Remove(filepath.Join(dir, "app.js.gz"))
	if b := body(t, get(f, "GET", "/app.js", "Accept-Encoding", "gzip")); b != "original, changed" {
		t.Errorf("a sibling that is gone: %q", b)
	}
	if err := os.Symlink("../secret", filepath.Join(dir, "a.txt.gz")); err != nil {
		t.Skip(err)
	}
	if b := body(t, get(f, "GET", "/a.txt", "Accept-Encoding", "gzip")); b != "0123456789" {
		t.Errorf("a sibling outside: %q", b)
	}
}

// What is remembered of siblings is bounded.
func TestSiblingsAreForgotten(t *testing.T) {
	f, _ := tree(t, Options{})
	for i := range mostCached + 10 {
		f.siblingsOf(strconv.Itoa(i))
	}
	if n := len(f.siblings.known); n > mostCached {
		t.Errorf("%d names are remembered", n)
	}
}

func BenchmarkChoose(b *testing.B) {
	accept := []string{"gzip, deflate, br, zstd"}
	for b.Loop() {
		choose(accept, all)
	}
}
