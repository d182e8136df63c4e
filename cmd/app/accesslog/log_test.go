package accesslog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

func request(target string, header ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.URL.Path, r.URL.RawQuery, _ = strings.Cut(target, "?")
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

// line is what is logged of a request.
func line(t *testing.T, o Options, h http.HandlerFunc, r *http.Request) (string, *httptest.ResponseRecorder) {
	t.Helper()
	var b bytes.Buffer
	w := httptest.NewRecorder()
	func() {
		defer func() { recover() }()
		New(&b, o).Handler(h).ServeHTTP(w, r)
	}()
	s := b.String()
	if strings.Count(s, "\n") != 1 || !strings.HasSuffix(s, "\n") {
		t.Fatalf("not one line: %q", s)
	}
	return s, w
}

const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestJSON(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = "/elsewhere"
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "short and stout")
	}
	r := request("/a\x1b[31m\n\"b?token=secret", "Traceparent", trace, "X-Request-Id", "abc-1", "User-Agent", "x\x00y\u009bz\x7f")
	s, _ := line(t, Options{Generation: 7}, h, r)
	var got map[string]any
	if err := json.Unmarshal([]byte(s), &got); err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]any{"msg": "request", "generation": 7., "remote": "192.0.2.1", "method": "GET", "path": "/a%1B%5B31m%0A%22b", "proto": "HTTP/1.1", "host": "example.com",
		"status": 418., "bytes": 15., "request_id": "abc-1", "traceparent": trace, "user_agent": "x\x00y\ufffdz\ufffd"} {
		if got[k] != want {
			t.Errorf("%s: %v, want %v", k, got[k], want)
		}
	}
	if _, ok := got["duration"].(float64); !ok || got["referer"] != nil || strings.Contains(s, "secret") || strings.ContainsAny(s, "\x1b\x00\x7f\u009b") {
		t.Errorf("line %s", s)
	}
	if at, err := time.Parse(time.RFC3339Nano, got["time"].(string)); err != nil || time.Since(at) > time.Minute {
		t.Errorf("time %v: %v", got["time"], err)
	}
}

func TestCombined(t *testing.T) {
	r := request("/a b\n\"\\\x7fé?q=1", "Referer", `http://x/"`, "User-Agent", "me\r\n")
	s, _ := line(t, Options{Format: Combined, Query: true}, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "12345") }, r)
	want := regexp.MustCompile(`^192\.0\.2\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /a%20b%0A%22%5C%7F%C3%A9\?q=1 HTTP/1\.1" 200 5 "http://x/\\x22" "me\\x0d\\x0a"\n$`)
	if !want.MatchString(s) {
		t.Errorf("line %q", s)
	}
	s, _ = line(t, Options{Format: Common, Client: func(*http.Request) netip.Addr { return netip.Addr{} }}, func(http.ResponseWriter, *http.Request) {}, request("/"))
	if !regexp.MustCompile(`^- - - \[.*\] "GET / HTTP/1\.1" 200 -\n$`).MatchString(s) {
		t.Errorf("line %q", s)
	}
}

func TestEveryEndIsLogged(t *testing.T) {
	for want, h := range map[string]http.HandlerFunc{
		`"status":502`: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502); panic(http.ErrAbortHandler) },
		`"status":101`: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(101) },
		`"bytes":7`:    func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, strings.NewReader("seven b")) },
	} {
		if s, _ := line(t, Options{}, h, request("/")); !strings.Contains(s, want) {
			t.Errorf("want %s in %s", want, s)
		}
	}
}

// Early answers do not count: the one that ends the request does.
func TestStatus(t *testing.T) {
	a := answer{ResponseWriter: httptest.NewRecorder()}
	for _, code := range []int{http.StatusEarlyHints, http.StatusTeapot, http.StatusOK} {
		a.WriteHeader(code)
	}
	if a.status != http.StatusTeapot {
		t.Errorf("status %d", a.status)
	}
}

func TestIdentity(t *testing.T) {
	for _, tt := range []struct {
		name string
		ids  []string
		kept bool
	}{
		{"none", nil, false},
		{"good", []string{"X-Request-Id", "0af7651916cd43dd"}, true},
		{"line break", []string{"X-Request-Id", "a\nb"}, false},
		{"long", []string{"X-Request-Id", strings.Repeat("a", longestID+1)}, false},
		{"two", []string{"X-Request-Id", "a", "X-Request-Id", "b"}, false},
	} {
		var seen []string
		r := request("/", tt.ids...)
		_, w := line(t, Options{}, func(_ http.ResponseWriter, r *http.Request) { seen = r.Header["X-Request-Id"] }, r)
		if len(seen) != 1 || !wellFormed(seen[0]) || w.Header().Get("X-Request-Id") != seen[0] || tt.kept != (len(tt.ids) == 2 && seen[0] == tt.ids[1]) {
			t.Errorf("%s: the handler sees %q, the client %q", tt.name, seen, w.Header().Get("X-Request-Id"))
		}
	}
	for s, want := range map[string]bool{trace: true, trace + "-more": false, trace + "-0a": true, strings.ToUpper(trace): false, trace[1:]: false, "": false, strings.Repeat("-", 55): false} {
		if got := traceparent(request("/", "Traceparent", s)) != ""; got != want {
			t.Errorf("traceparent %q: %v", s, got)
		}
	}
}

// Two generations write to one file, as they do while the older drains; a third opens a new one after a rotation.
func TestTwoProcessesOneFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(name, []byte("old\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	const each = 500
	var wg sync.WaitGroup
	for generation := range 2 {
		l, err := Open(name, Options{Generation: generation + 1})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		h := l.Handler(http.NotFoundHandler())
		for range 4 {
			wg.Go(func() {
				for i := range each {
					h.ServeHTTP(httptest.NewRecorder(), request("/"+strings.Repeat("x", i)))
				}
			})
		}
	}
	wg.Wait()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	if sc.Scan(); sc.Text() != "old" {
		t.Errorf("it began with %q", sc.Text())
	}
	by := map[int]int{}
	for sc.Scan() {
		var e struct{ Generation, Status int }
		if err := json.Unmarshal(sc.Bytes(), &e); err != nil || e.Status != 404 {
			t.Fatalf("line %q: %v", sc.Text(), err)
		}
		by[e.Generation]++
	}
	if fmt.Sprint(by) != fmt.Sprint(map[int]int{1: 4 * each, 2: 4 * each}) {
		t.Errorf("lines of generations: %v", by)
	}

	if err := os.Rename(name, name+".1"); err != nil {
		t.Skip(err) // Windows
	}
	l, err := Open(name, Options{Generation: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), request("/"))
	if b, err := os.ReadFile(name); err != nil || bytes.Count(b, []byte("\n")) != 1 {
		t.Errorf("the new file: %q, %v", b, err)
	}
}

// FuzzLine: one request is one line, whatever it says.
func FuzzLine(f *testing.F) {
	f.Add("GET", "/", "", "")
	f.Add("G\nT", "/\x00\r\n", "\"\n", "\u2028")
	f.Fuzz(func(t *testing.T, method, path, referer, browser string) {
		for _, format := range []Format{JSON, Combined, Common} {
			var b bytes.Buffer
			r := request(path, "Referer", referer, "User-Agent", browser)
			r.Method = method
			New(&b, Options{Format: format, Query: true}).Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
			for i, c := range b.Bytes() {
				if c < ' ' && (c != '\n' || i != b.Len()-1) || c == 0x7f {
					t.Fatalf("%s: %q", format, b.String())
				}
			}
			if format == JSON && !json.Valid(b.Bytes()) {
				t.Fatalf("%q", b.String())
			}
		}
	})
}

func BenchmarkHandler(b *testing.B) {
	for _, format := range []Format{JSON, Combined} {
		b.Run(string(format), func(b *testing.B) {
			h := New(io.Discard, Options{Format: format}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			w, r := httptest.NewRecorder(), request("/index.html", "User-Agent", "Mozilla/5.0")
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}
