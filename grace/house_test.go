//go:build unix

package grace

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// house is a Process without signals and state, for one gate under a real http.Server.
type house struct {
	*Process
	gate *gate
	srv  *http.Server
}

func newHouse(t *testing.T, srv *http.Server) *house {
	t.Helper()
	h := buildHouse(t, srv)
	h.serve(t, h.gate)
	return h
}

func buildHouse(t *testing.T, srv *http.Server) *house {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{log: slog.New(slog.DiscardHandler), conns: newConns(), exited: make(chan struct{})}
	g := newGate(p, Socket{Network: "tcp"}, ln.(deadlineListener))
	p.gates = []*gate{g}
	h := &house{p, g, srv}
	if srv.Handler == nil {
		srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	}
	return h
}

func (h *house) serve(t *testing.T, ln net.Listener) {
	t.Helper()
	p, g := h.Process, h.gate
	g.resume()
	var wg sync.WaitGroup
	wg.Go(func() { p.Serve(h.srv, ln) })
	t.Cleanup(func() {
		g.end()
		p.conns.cut()
		close(p.exited)
		wg.Wait()
	})
}

// follows connects two houses as predecessor and successor of one socket.
func (h *house) follows(t *testing.T, old *house) *mover {
	t.Helper()
	a, b := linkPair(t)
	mv := newMover(a)
	mv.places[old.gate] = 0
	h.up, h.gate.index = b, 0
	b.takes[msgConn] = h.adopt
	go a.read()
	go b.read()
	return mv
}

func linkPair(t *testing.T) (a, b *link) {
	t.Helper()
	ours, theirs, err := socketpair()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := fileConn(theirs)
	if err != nil {
		t.Fatal(err)
	}
	a, b = newLink(ours), newLink(conn)
	t.Cleanup(func() { a.close(); b.close() })
	return a, b
}

// only returns the one connection of a house, when it reads.
func (h *house) only(t *testing.T) *tracked {
	t.Helper()
	var found *tracked
	until(t, "one connection", func() bool {
		all := h.conns.list(func(*tracked) bool { return true })
		if len(all) != 1 {
			return false
		}
		found = all[0]
		found.moves.mu.Lock()
		defer found.moves.mu.Unlock()
		return found.moves.reading
	})
	return found
}

func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("not within 20 s: %s", what)
}

func (h *house) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", h.gate.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

func answer(t *testing.T, br *bufio.Reader) (body string) {
	t.Helper()
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil || res.Close {
		t.Fatalf("%v, close %t", err, res.Close)
	}
	return string(b)
}

func post(body string) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}
