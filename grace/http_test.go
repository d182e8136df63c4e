package grace

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestPoliteAnswers: on the way out every kind of answer says Connection: close, also one whose handler began before.
func TestPoliteAnswers(t *testing.T) {
	p := &Process{conns: newConns()}
	for name, handler := range map[string]http.HandlerFunc{
		"nothing written": func(http.ResponseWriter, *http.Request) {},
		"write":           func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("x")) },
		"string":          func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x") },
		"status":          func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
		"early hints":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(200) },
		"read from":       func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, strings.NewReader("x")) },
		"flush":           func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() },
		"controller":      func(w http.ResponseWriter, _ *http.Request) { http.NewResponseController(w).Flush() },
	} {
		t.Run(name, func(t *testing.T) {
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				p.polite.Store(r.URL.Path == "/leaving") // while the handler runs
				handler(w, r)
			})}
			p.prepare(srv)
			ts := httptest.NewUnstartedServer(nil)
			ts.Config = srv
			ts.Start()
			defer ts.Close()
			for path, want := range map[string]bool{"/": false, "/leaving": true} {
				res, err := ts.Client().Get(ts.URL + path)
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.Close != want {
					t.Errorf("%s: close is %v", path, res.Close)
				}
			}
		})
	}
}

// TestPoliteUpgrade: a 101 keeps its Connection header, and the connection can be hijacked.
func TestPoliteUpgrade(t *testing.T) {
	p := &Process{conns: newConns()}
	p.polite.Store(true)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello")
		rw.Flush()
	})}
	p.prepare(srv)
	ts := httptest.NewUnstartedServer(nil)
	ts.Config = srv
	ts.Start()
	defer ts.Close()
	conn, err := net.Dial("tcp", ts.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
	br := bufio.NewReader(conn)
	res, err := http.ReadResponse(br, nil)
	if err != nil || res.StatusCode != 101 || res.Header.Get("Connection") != "Upgrade" {
		t.Fatalf("%v, %v", res, err)
	}
	if b, _ := io.ReadAll(br); string(b) != "hello" {
		t.Errorf("after the upgrade: %q", b)
	}
}

// TestPrepareOnce: a server on a second listener is left as it is, since connections of the first read it.
func TestPrepareOnce(t *testing.T) {
	p := &Process{conns: newConns()}
	srv := &http.Server{}
	first := p.prepare(srv)
	srv.ConnState, srv.ConnContext = nil, nil
	if second := p.prepare(srv); second != first || srv.ConnState != nil || srv.ConnContext != nil {
		t.Error("wrapped again")
	}
}

// brokenWriter is the answer to a client that is gone.
type brokenWriter struct{ http.ResponseWriter }

func (brokenWriter) Header() http.Header { return http.Header{} }
func (brokenWriter) FlushError() error   { return io.ErrClosedPipe }

func TestFlushTellsOfErrors(t *testing.T) {
	w := &politeWriter{ResponseWriter: brokenWriter{}, p: &Process{}}
	if err := http.NewResponseController(w).Flush(); err != io.ErrClosedPipe {
		t.Errorf("got %v", err)
	}
}
