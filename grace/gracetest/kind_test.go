package gracetest_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moult-go/moult/grace/gracetest"
)

// serve starts a server, which prepare may change before, and returns its address.
func serve(t *testing.T, h http.HandlerFunc, prepare func(*httptest.Server)) string {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	if prepare != nil {
		prepare(srv)
	}
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

func echo(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }

// TestPipelined: requests that a server has been sent and drops behind Connection: close are lost; the part of one that was
// never finished is not.
func TestPipelined(t *testing.T) {
	var served atomic.Int64
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1)%5 == 0 {
			w.Header().Set("Connection", "close")
		}
		echo(w, r)
	}, nil)
	r := until(gracetest.Start(gracetest.Options{Addr: addr, Pipelined: 2}), 200).Stop()
	_, failures := r.Total()
	if behind := r.Failures[gracetest.Pipelined]["behind Connection: close"]; behind == 0 || behind != failures {
		t.Errorf("behind a close: %d of %d failures\n%s", behind, failures, r)
	}
	if n := r.Requests[gracetest.Pipelined] - failures; int64(n) != served.Load() {
		t.Errorf("%d requests answered, %d served", n, served.Load())
	}
}

// TestPipelinedCut: a server that drops a connection because it seems idle between two requests loses the one of which it
// has some bytes.
func TestPipelinedCut(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	const three = 3
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			buf, seen := make([]byte, 4096), ""
			for strings.Count(seen, "pipelined POST 0") < three || strings.HasSuffix(seen, "pipelined POST 0") {
				n, err := c.Read(buf)
				if err != nil {
					break
				}
				seen += string(buf[:n])
			}
			io.WriteString(c, strings.Repeat("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", three))
			c.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	r := until(gracetest.Start(gracetest.Options{Addr: ln.Addr().String(), Pipelined: 1, Timeout: 5 * time.Second}), 8).Stop()
	if n, bad := r.Total(); bad == 0 || n != bad*(three+1) {
		t.Errorf("%d of %d failed, want every fourth\n%s", bad, n, r)
	}
}

// TestStreaming: a stream with a byte too few, too many or changed is a failure, though it is a whole answer.
func TestStreaming(t *testing.T) {
	for name, spoil := range map[string]func([]byte) []byte{
		"good":    func(b []byte) []byte { return b },
		"changed": func(b []byte) []byte { b[30_000]++; return b },
		"missing": func(b []byte) []byte { return append(b[:20_000:20_000], b[21_000:]...) },
		"short":   func(b []byte) []byte { return b[:49_000] },
		"long":    func(b []byte) []byte { return append(b, 'x') },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := httptest.NewRecorder()
			gracetest.Stream(rec, httptest.NewRequest("GET", "/", nil))
			body := spoil(rec.Body.Bytes())
			addr := serve(t, func(w http.ResponseWriter, r *http.Request) { w.Write(body) }, nil)
			r := until(gracetest.Start(gracetest.Options{Addr: addr, Streaming: 1}), 3).Stop()
			n, bad := r.Total()
			if want := map[bool]int{true: 0, false: n}[name == "good"]; bad != want {
				t.Errorf("%d of %d failed, want %d\n%s", bad, n, want, r)
			}
		})
	}
}

// TestDistant: no answer within a round trip; and the answer to the first request takes two, for the handshake.
func TestDistant(t *testing.T) {
	quick := make(chan time.Duration, 1000)
	l := gracetest.Start(gracetest.Options{Addr: serve(t, echo, nil), Distant: 20, IdlePause: time.Millisecond, OnAnswer: func(a gracetest.Answer) {
		least := 10 * time.Millisecond
		if a.Before == nil {
			least = 20 * time.Millisecond
		}
		if a.Took < least {
			quick <- a.Took
		}
	}})
	if _, bad := until(l, 200).Stop().Total(); bad > 0 {
		t.Errorf("%d failed", bad)
	}
	select {
	case d := <-quick:
		t.Errorf("an answer within %s", d)
	default:
	}
}

// TestHold: a held connection that the server has closed meanwhile is noticed at Stop at the latest.
func TestHold(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"kept": time.Hour, "closed": 10 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			var idle atomic.Int64
			addr := serve(t, echo, func(s *httptest.Server) {
				s.Config.IdleTimeout = timeout
				s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
					if st == http.StateClosed || st == http.StateIdle && name == "kept" {
						idle.Add(1)
					}
				}
			})
			l := gracetest.Start(gracetest.Options{Addr: addr, Hold: 3, HoldPause: time.Hour})
			eventually(t, func() bool { return idle.Load() >= 3 })
			r := l.Stop()
			want := map[string]int{"kept": 0, "closed": 3}[name]
			if n, bad := r.Total(); n != 6 || bad != want {
				t.Errorf("%d of %d failed, want %d of 6\n%s", bad, n, want, r)
			}
		})
	}
}

// TestLate: a server that gives up a connection because it has not spoken yet is noticed.
func TestLate(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"patient": time.Hour, "hasty": 5 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			addr := serve(t, echo, func(s *httptest.Server) { s.Config.ReadHeaderTimeout = timeout })
			r := until(gracetest.Start(gracetest.Options{Addr: addr, Late: 2, LatePause: 200 * time.Millisecond}), 4).Stop()
			n, bad := r.Total()
			if name == "patient" && bad > 0 || name == "hasty" && bad == 0 {
				t.Errorf("%d of %d failed\n%s", bad, n, r)
			}
		})
	}
}

// TestSilent: a thousand silent connections cost no goroutine; each that is closed is counted, and is no failed request.
func TestSilent(t *testing.T) {
	const all, gone = 1000, 10
	var mu atomic.Pointer[httptest.Server]
	addr := serve(t, echo, func(s *httptest.Server) { mu.Store(s) })
	before := runtime.NumGoroutine()
	l := gracetest.Start(gracetest.Options{Addr: addr, Silent: all})
	if n := l.Requests(); n != all {
		t.Errorf("%d asked at the start", n)
	}
	// The server has one for each connection.
	if n := runtime.NumGoroutine() - before - all; n > 50 {
		t.Errorf("%d goroutines more", n)
	}
	r := l.Stop()
	if n, bad := r.Total(); n != 2*all || bad != 0 || r.Closed != 0 {
		t.Errorf("good server: %s", r)
	}

	l = gracetest.Start(gracetest.Options{Addr: addr, Silent: gone})
	mu.Load().CloseClientConnections()
	r = l.Stop()
	if n, bad := r.Total(); n != gone || bad != 0 || r.Closed != gone {
		t.Errorf("all closed: %s", r)
	}
}

func eventually(t *testing.T, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) { // between two looks
		if time.Now().After(end) {
			t.Fatal("not within 20 s")
		}
	}
}
