package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/moult-go/moult/cmd/app/forwarded"
)

func TestMain(m *testing.M) {
	farewell = time.Millisecond
	goleak.VerifyTestMain(m)
}

// routes reads what a command line would say.
func routes(t *testing.T, texts ...string) (list []Route) {
	t.Helper()
	for _, s := range texts {
		r, err := ParseRoute(s)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

// front is a server that passes on as o says; what no route matches is 418.
func front(t *testing.T, o Options) *httptest.Server {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p, err := New(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(p.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })))
	t.Cleanup(func() {
		s.Close()
		cancel()
		for _, pl := range p.pools {
			for _, u := range pl.upstreams {
				u.transport.CloseIdleConnections()
			}
		}
	})
	return s
}

// back is an upstream that answers with what it was asked.
func back(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func echo(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s %s", r.Method, r.Host, r.RequestURI, b)
}

// ask sends one request and returns the status and the body.
func ask(t *testing.T, s *httptest.Server, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, s.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "site.example"
	if req.URL.Opaque = path; strings.HasPrefix(path, "//") || path == "" {
		t.Fatalf("path %q", path)
	}
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func wait(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(5 * time.Millisecond) { // between two looks
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestParseRoute(t *testing.T) {
	for s, want := range map[string]string{
		"http://a:1": "/ http://a:1", "/api=http://a": "/api http://a", "/api/=https://a/b/": "/api https://a/b/", "/=h2c://a": "/ h2c://a",
		"unix:/run/x.sock": "/ unix:/run/x.sock", "/s=unix:/x": "/s unix:/x",
	} {
		r, err := ParseRoute(s)
		if got := r.Prefix + " " + fmt.Sprint(r.URL); err != nil || got != want {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "a:1", "localhost:8080", "ftp://a", "http://", "http://u:secret@a", "http://u:secret@a:x", "http://a?q", "http://a#f", "/api", "/api=", "/..=http://a", "//=http://a", "unix:", "unix://h/x"} {
		if _, err := ParseRoute(s); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestRoutes(t *testing.T) {
	a, b := back(t, echo), back(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "B ", r.RequestURI) })
	for _, tt := range []struct {
		o          Options
		path, want string
	}{
		{Options{Routes: routes(t, "/api="+a.URL)}, "/api/x?q=1&r", "200 GET site.example /api/x?q=1&r "},
		{Options{Routes: routes(t, "/api="+a.URL)}, "/api", "200 GET site.example /api "},
		{Options{Routes: routes(t, "/api="+a.URL)}, "/apis", "418 "},
		{Options{Routes: routes(t, "/api="+a.URL)}, "/", "418 "},
		{Options{Routes: routes(t, a.URL, "/api="+b.URL)}, "/api/x", "200 B /api/x"},
		{Options{Routes: routes(t, a.URL, "/api="+b.URL)}, "/ap", "200 GET site.example /ap "},
		{Options{Routes: routes(t, "/api="+a.URL), StripPrefix: true}, "/api/x%2Fy", "200 GET site.example /x%2Fy "},
		{Options{Routes: routes(t, "/api="+a.URL), StripPrefix: true}, "/api", "200 GET site.example / "},
		{Options{Routes: routes(t, "/a/b="+a.URL), StripPrefix: true}, "/a%2Fb/x%20y", "200 GET site.example /x%20y "},
		{Options{Routes: routes(t, "/%C3%A9="+a.URL)}, "/%C3%A9/x", "418 "}, // a prefix is written as it reads
		{Options{Routes: routes(t, "/é="+a.URL), StripPrefix: true}, "/%C3%A9/x", "200 GET site.example /x "},
		{Options{Routes: routes(t, a.URL+"/base/")}, "/x%2Fy//z", "200 GET site.example /base/x%2Fy//z "},
		{Options{Routes: routes(t, a.URL), RewriteHost: true}, "/x", "200 GET " + strings.TrimPrefix(a.URL, "http://") + " /x "},
		{Options{Routes: routes(t, a.URL)}, "/a/../b", "400 400 Bad Request: the path leads upward\n"},
		{Options{Routes: routes(t, a.URL)}, "/a/%2e%2E%2fb", "400 400 Bad Request: the path leads upward\n"},
		{Options{Routes: routes(t, a.URL)}, "/a/..%5Cb", "400 400 Bad Request: the path leads upward\n"},
		{Options{Routes: routes(t, a.URL)}, "/a/..;x/b", "400 400 Bad Request: the path leads upward\n"},
		{Options{Routes: routes(t, a.URL)}, "/a..b/...", "200 GET site.example /a..b/... "},
	} {
		code, body := ask(t, front(t, tt.o), "GET", tt.path, "")
		if got := fmt.Sprint(code, " ", body); got != tt.want {
			t.Errorf("%v %s: %q, want %q", tt.o.Routes, tt.path, got, tt.want)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{HealthPath: "x"}, {HealthInterval: -1}} {
		if _, err := New(t.Context(), o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

// What an upstream can be.
func TestKindsOfUpstreams(t *testing.T) {
	protocol := func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprint(w, r.Proto, " ", string(b))
		w.(http.Flusher).Flush()
		w.Header().Set("X-Sum", "7")
	}
	plain := back(t, protocol)
	h2c := httptest.NewUnstartedServer(http.HandlerFunc(protocol))
	h2c.Config.Protocols = new(http.Protocols)
	h2c.Config.Protocols.SetUnencryptedHTTP2(true)
	h2c.Start()
	t.Cleanup(h2c.Close)
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Skip(err)
	}
	local := &httptest.Server{Listener: ln, Config: &http.Server{Handler: http.HandlerFunc(protocol)}}
	local.Start()
	t.Cleanup(local.Close)
	for url, want := range map[string]string{plain.URL: "HTTP/1.1 x", strings.Replace(h2c.URL, "http", "h2c", 1): "HTTP/2.0 x", "unix:" + socket: "HTTP/1.1 x"} {
		s := front(t, Options{Routes: routes(t, url)})
		res, err := s.Client().Post(s.URL, "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if string(b) != want || err != nil || res.Trailer.Get("X-Sum") != "7" {
			t.Errorf("%s: %q %v, trailer %v", url, b, err, res.Trailer)
		}
	}
}

// HTTP/2 over TLS where the upstream has it.
func TestUpstreamTLS(t *testing.T) {
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }))
	up.EnableHTTP2 = true
	up.Config.ErrorLog = log.New(io.Discard, "", 0)
	up.StartTLS()
	t.Cleanup(up.Close)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p, err := New(ctx, Options{Routes: routes(t, up.URL)})
	if err != nil {
		t.Fatal(err)
	}
	tr := p.pools[0].upstreams[0].transport
	defer tr.CloseIdleConnections()
	w := httptest.NewRecorder()
	p.Handler(nil).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 502 || strings.Contains(w.Body.String(), "x509") {
		t.Errorf("a certificate of nobody: %d %s", w.Code, w.Body)
	}
	tr.TLSClientConfig = up.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	tr.TLSClientConfig.NextProtos = []string{"h2", "http/1.1"} // as the first request has set it
	w = httptest.NewRecorder()
	p.Handler(nil).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Body.String() != "HTTP/2.0" {
		t.Errorf("spoken: %s", w.Body)
	}
}

// What belongs to one connection stays there, and strangers cannot say where they come from.
func TestHeaders(t *testing.T) {
	var got http.Header
	up := back(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		w.Header().Set("Connection", "X-Answer-Secret")
		w.Header().Set("X-Answer-Secret", "1")
		w.Header().Set("Keep-Alive", "timeout=1")
	})
	trust, err := forwarded.ParseTrust([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		trust forwarded.Trust
		hops  string
	}{"a stranger": {hops: "127.0.0.1"}, "trusted": {trust: trust, hops: "1.1.1.1, 127.0.0.1"}} {
		s := front(t, Options{Routes: routes(t, up.URL), Trust: tt.trust})
		req, _ := http.NewRequest("GET", s.URL, nil)
		for k, v := range map[string]string{"Connection": "X-Secret, close", "X-Secret": "1", "Proxy-Authorization": "p", "Te": "gzip", "Upgrade": "", "X-Forwarded-For": "1.1.1.1", "X-Kept": "k"} {
			req.Header.Set(k, v)
		}
		res, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		for _, k := range []string{"Connection", "X-Secret", "Proxy-Authorization", "Te", "Upgrade"} {
			if got.Get(k) != "" {
				t.Errorf("%s: passed on: %s: %s", name, k, got.Get(k))
			}
		}
		if res.Header.Get("X-Answer-Secret") != "" || res.Header.Get("Keep-Alive") != "" {
			t.Errorf("%s: passed back: %v", name, res.Header)
		}
		if got.Get("X-Kept") != "k" || got.Get("X-Forwarded-For") != tt.hops || got.Get("X-Forwarded-Proto") != "http" || !strings.HasPrefix(got.Get("Forwarded"), "for=127.0.0.1;") {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// One request must not become two. What net/http refuses never gets here; this pins that it does.
func TestSmuggling(t *testing.T) {
	asked := make(chan string, 10)
	up := back(t, func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		asked <- r.URL.Path + " " + string(b)
	})
	s := front(t, Options{Routes: routes(t, up.URL)})
	const hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, tt := range map[string]struct {
		header string
		passed string // "" if it is refused
	}{
		"two lengths":           {"Content-Length: 0\r\nContent-Length: 35\r\n", ""},
		"length and chunks":     {"Content-Length: 35\r\nTransfer-Encoding: chunked\r\n", ""},
		"chunks in disguise":    {"Transfer-Encoding: xchunked\r\n", ""},
		"space before colon":    {"Content-Length : 35\r\n", ""},
		"line break in a value": {"X-A: b\rContent-Length: 35\r\n", ""},
		"signed length":         {"Content-Length: +35\r\n", ""},
	} {
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "POST /first HTTP/1.1\r\nHost: x\r\n%s\r\n%s", tt.header, hidden)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		res.Body.Close()
		c.Close()
		if refused := res.StatusCode == 400 || res.StatusCode == 501 || res.StatusCode == 499; !refused {
			t.Errorf("%s: %s", name, res.Status)
		}
	}
	for len(asked) > 0 {
		if a := <-asked; strings.Contains(a, "/hidden ") {
			t.Errorf("the upstream was asked for %s", a)
		}
	}
}

// An answer without a length goes to the client as it comes.
func TestStreaming(t *testing.T) {
	more := make(chan struct{})
	up := back(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 3 {
			io.WriteString(w, "part\n")
			w.(http.Flusher).Flush()
			<-more
		}
	})
	s := front(t, Options{Routes: routes(t, up.URL)})
	res, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for r := bufio.NewReader(res.Body); ; more <- struct{}{} {
		line, err := r.ReadString('\n')
		if err == io.EOF {
			break
		}
		if line != "part\n" || err != nil {
			t.Fatalf("%q, %v", line, err)
		}
	}
}

// FuzzStrip: what is left of a path is what the prefix left, encoded or not.
func FuzzStrip(f *testing.F) {
	f.Add("/a/b", "/a/b/c%2Fd")
	f.Add("/a", "/%61/%2e")
	f.Fuzz(func(t *testing.T, prefix, target string) {
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")))
		r, routeErr := ParseRoute(prefix + "=http://a")
		if err != nil || routeErr != nil || !under(req.URL.Path, r.Prefix) {
			return
		}
		path, raw := strip(r.Prefix, req.URL.Path, req.URL.RawPath)
		u := *req.URL
		u.Path, u.RawPath = path, raw
		if r.Prefix != "/" && (!strings.HasPrefix(path, "/") || orRoot(strings.TrimPrefix(req.URL.Path, r.Prefix)) != path) {
			t.Errorf("%s of %s: %q", r.Prefix, target, path)
		}
		if raw != "" && u.EscapedPath() != raw && req.URL.EscapedPath() == req.URL.RawPath {
			t.Errorf("%s of %s: %q is no form of %q", r.Prefix, target, raw, path)
		}
	})
}
