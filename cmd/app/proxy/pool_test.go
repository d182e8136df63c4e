package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"
)

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func TestLoadIsShared(t *testing.T) {
	var counts [3]atomic.Int64
	slow, begun := make(chan struct{}), make(chan struct{}, 3)
	var texts []string
	for i := range counts {
		up := back(t, func(_ http.ResponseWriter, r *http.Request) {
			counts[i].Add(1)
			if r.URL.Path == "/slow" {
				begun <- struct{}{}
				<-slow
			}
		})
		texts = append(texts, up.URL)
	}
	s := front(t, Options{Routes: routes(t, texts...)})
	for range 30 {
		ask(t, s, "GET", "/", "")
	}
	for i := range counts {
		if n := counts[i].Swap(0); n != 10 {
			t.Errorf("upstream %d got %d of 30 requests", i, n)
		}
	}

	// Those that are busy get nothing while another is not.
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { ask(t, s, "GET", "/slow", "") })
		<-begun
	}
	for range 10 {
		ask(t, s, "GET", "/", "")
	}
	most, busy := int64(0), 0
	for i := range counts {
		n := counts[i].Load()
		most = max(most, n)
		if n == 1 {
			busy++
		}
	}
	if most != 10 || busy != 2 {
		t.Errorf("requests beside two slow ones: %d %d %d", counts[0].Load(), counts[1].Load(), counts[2].Load())
	}
	close(slow)
	wg.Wait()
}

// A request whose connection could not be made is sent to the next upstream, with its body; any other is sent once.
func TestNextUpstream(t *testing.T) {
	up := back(t, echo)
	s := front(t, Options{Routes: routes(t, "http://"+closedPort(t), "http://"+closedPort(t), up.URL)})
	for i := range 6 {
		if code, body := ask(t, s, "POST", "/x", "whole"); code != 200 || body != "POST site.example /x whole" {
			t.Errorf("request %d: %d %q", i, code, body)
		}
	}

	var asked atomic.Int64
	breaks := back(t, func(http.ResponseWriter, *http.Request) {
		asked.Add(1)
		panic(http.ErrAbortHandler)
	})
	s = front(t, Options{Routes: routes(t, breaks.URL, breaks.URL+"/again")})
	if code, body := ask(t, s, "POST", "/x", "whole"); code != 502 || !strings.HasPrefix(body, "502 Bad Gateway: the server behind this one broke off") || asked.Load() != 1 {
		t.Errorf("an upstream that breaks off: %d %q, asked %d times", code, body, asked.Load())
	}
}

// Each failure has its own status and says nothing of where upstreams are.
func TestFailures(t *testing.T) {
	nobody := closedPort(t)
	silent := back(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s := front(t, Options{Routes: routes(t, "/nobody=http://"+nobody, "/silent="+silent.URL), HeaderTimeout: 50 * time.Millisecond})
	for _, tt := range []struct {
		path, want string
		code       int
	}{
		{"/nobody", "502 Bad Gateway: the server behind this one could not be reached", 502},
		{"/nobody", "503 Service Unavailable", 503},
		{"/silent", "504 Gateway Timeout", 504},
		{"/silent", "504 Gateway Timeout", 504}, // slow is not ill
	} {
		code, body := ask(t, s, "GET", tt.path, "")
		if code != tt.code || !strings.HasPrefix(body, tt.want) || strings.Contains(body, "127.0.0.1") {
			t.Errorf("%s: %d %q, want %d %q", tt.path, code, body, tt.code, tt.want)
		}
	}
}

// What the client breaks is not called the upstream's fault.
func TestClientsFault(t *testing.T) {
	up := back(t, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p, err := New(ctx, Options{Routes: routes(t, up.URL)})
	if err != nil {
		t.Fatal(err)
	}
	defer p.pools[0].upstreams[0].transport.CloseIdleConnections()
	gone, leave := context.WithCancel(t.Context())
	leave()
	for name, tt := range map[string]struct {
		body io.Reader
		ctx  context.Context
		want int
	}{
		"breaks off": {io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrUnexpectedEOF)), t.Context(), 499},
		"too much":   {http.MaxBytesReader(nil, io.NopCloser(strings.NewReader("too much")), 3), t.Context(), 413},
		"gone":       {strings.NewReader("whole"), gone, 499},
	} {
		w := httptest.NewRecorder()
		p.Handler(nil).ServeHTTP(w, httptest.NewRequest("POST", "/", tt.body).WithContext(tt.ctx))
		if w.Code != tt.want {
			t.Errorf("%s: %d, want %d", name, w.Code, tt.want)
		}
	}
}

// An upstream that dies is left out, and comes back by itself, without a request that fails for it.
func TestUpstreamComesBack(t *testing.T) {
	address := closedPort(t)
	stays := back(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "stays") })
	start := func() *http.Server {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "returns") })}
		go s.Serve(ln)
		return s
	}
	s := front(t, Options{Routes: routes(t, "/both=http://"+address, "/both="+stays.URL, "/one=http://"+address)})
	answers := func(path, want string) func() bool {
		return func() bool {
			code, body := ask(t, s, "GET", path, "")
			if path == "/both" && code != 200 {
				t.Fatalf("a request was lost: %d %s", code, body)
			}
			return body == want
		}
	}
	for range 3 {
		up := start()
		wait(t, "its return", answers("/both", "returns"))
		wait(t, "its return, alone", answers("/one", "returns"))
		up.Close()
		if code, _ := ask(t, s, "GET", "/one", ""); code != 502 && code != 503 {
			t.Errorf("alone and dead: %d", code)
		}
		for range 20 {
			answers("/both", "")()
		}
	}
}

func TestHealthPath(t *testing.T) {
	var ill atomic.Bool
	var names [2]*httptest.Server
	for i := range names {
		names[i] = back(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/healthz" && i == 0 && ill.Load() {
				w.WriteHeader(503)
			}
			fmt.Fprint(w, i)
		})
	}
	s := front(t, Options{Routes: routes(t, names[0].URL, names[1].URL), HealthPath: "/healthz", HealthInterval: 5 * time.Millisecond})
	seen := func() (both bool) {
		first, second := false, false
		for range 8 {
			_, body := ask(t, s, "GET", "/", "")
			first, second = first || body == "0", second || body == "1"
		}
		return first && second
	}
	wait(t, "both", seen)
	ill.Store(true)
	wait(t, "the ill one to be left out", func() bool { return !seen() })
	ill.Store(false)
	wait(t, "both again", seen)
}
