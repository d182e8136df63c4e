//go:build unix

package grace

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestMovableReads pins what net/http does between two requests: a connection is movable exactly while none of its bytes are in
// this process.
func TestMovableReads(t *testing.T) {
	whole := post("one")
	for _, c := range []struct {
		name    string
		send    []string // an answer is read after each but the last
		movable bool
	}{
		{"never spoke", []string{""}, true},
		{"one byte of its first request", []string{"P"}, false},
		{"a header without its end", []string{"POST / HTTP/1.1\r\nHost: x\r\n"}, false},
		{"kept alive", []string{whole, ""}, true},
		{"kept alive after three", []string{whole, whole, whole, ""}, true},
		{"an empty line after a request", []string{whole, "\r\n"}, false},
		{"a pipelined byte", []string{whole + "P", ""}, false},
		{"a pipelined half", []string{whole + whole[:20], ""}, false},
		{"HTTP/2, as yet a preface", []string{"PRI"}, false},
	} {
		for _, h2c := range []bool{false, true} {
			name, srv := c.name, &http.Server{}
			if h2c {
				name, srv.Protocols = name+", where h2c is spoken", new(http.Protocols)
				srv.Protocols.SetHTTP1(true)
				srv.Protocols.SetUnencryptedHTTP2(true)
			}
			t.Run(name, func(t *testing.T) { movableReads(t, srv, c.send, c.movable) })
		}
	}
}

func movableReads(t *testing.T, srv *http.Server, send []string, movable bool) {
	h := newHouse(t, srv)
	conn := h.dial(t)
	br := bufio.NewReader(conn)
	for i, s := range send {
		io.WriteString(conn, s)
		if i < len(send)-1 {
			answer(t, br)
		}
	}
	tr := h.only(t)
	if s := send[len(send)-1]; s != "" {
		until(t, "the bytes read", func() bool {
			tr.moves.mu.Lock()
			defer tr.moves.mu.Unlock()
			return tr.moves.got && tr.moves.reading
		})
	}
	until(t, "idle, or new", func() bool { p := phase(tr.phase.Load()); return p == phaseNew || p == phaseIdle })
	tr.moves.mu.Lock()
	got := tr.moves.movable() && tr.moves.plain
	tr.moves.mu.Unlock()
	if got != movable {
		t.Errorf("movable %t", got)
	}
}

// TestMovableAfterBackgroundRead: a byte that arrives while the handler runs is in net/http's hands.
func TestMovableAfterBackgroundRead(t *testing.T) {
	running, goOn := make(chan bool), make(chan bool)
	h := newHouse(t, &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		running <- true
		<-goOn
	})})
	conn := h.dial(t)
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-running
	tr := h.only(t) // the background read
	io.WriteString(conn, "G")
	until(t, "the byte taken", func() bool {
		tr.moves.mu.Lock()
		defer tr.moves.mu.Unlock()
		return !tr.moves.reading
	})
	goOn <- true
	answer(t, bufio.NewReader(conn))
	tr = h.only(t)
	tr.moves.mu.Lock()
	defer tr.moves.mu.Unlock()
	if tr.moves.movable() || phase(tr.phase.Load()) != phaseIdle {
		t.Errorf("movable %t in phase %d, with a byte of the next request in a buffer", tr.moves.movable(), tr.phase.Load())
	}
}

// TestHijackedStays: a connection that a handler has taken for itself does not move.
func TestHijackedStays(t *testing.T) {
	h := newHouse(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		rw.WriteString("hello\n")
		rw.Flush()
		go io.Copy(c, c) // ends with the connection
	})})
	next := newHouse(t, &http.Server{})
	mv := next.follows(t, h)
	conn := h.dial(t)
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	br := bufio.NewReader(conn)
	if line, err := br.ReadString('\n'); err != nil || line != "hello\n" {
		t.Fatal(line, err)
	}
	h.conns.mover.Store(mv)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go mv.run(ctx, h.conns)
	for range 20 {
		io.WriteString(conn, "echo\n")
		if line, err := br.ReadString('\n'); err != nil || line != "echo\n" {
			t.Fatal(line, err)
		}
	}
	if h.conns.count() != 1 || next.conns.count() != 0 {
		t.Error("a hijacked connection moved")
	}
}

// TestArrivedDeadlines: for its client, a connection that has moved is between two requests; the server's time for a header or a body counts from
// the first byte of the next one, and what was left of its idle time still holds.
func TestArrivedDeadlines(t *testing.T) {
	t.Parallel()
	const header = time.Second
	old := newHouse(t, &http.Server{IdleTimeout: 3 * header})
	next := newHouse(t, &http.Server{ReadHeaderTimeout: header, ReadTimeout: header})
	mv := next.follows(t, old)
	late, never, slow := old.dial(t), old.dial(t), old.dial(t)
	for _, c := range []net.Conn{late, never, slow} {
		io.WriteString(c, post(""))
		answer(t, bufio.NewReader(c))
	}
	old.conns.mover.Store(mv)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go mv.run(ctx, old.conns)
	until(t, "all over", func() bool { return next.conns.count() == 3 })
	time.Sleep(header * 3 / 2) // longer than the header may take, shorter than the idle time
	req := post("body")
	io.WriteString(late, req[:20])
	time.Sleep(header / 3) // a slow sender, twice
	io.WriteString(late, req[20:len(req)-1])
	time.Sleep(header / 3) // in all shorter than the header may take
	io.WriteString(late, req[len(req)-1:])
	if got := answer(t, bufio.NewReader(late)); got != "body" {
		t.Errorf("%q", got)
	}
	io.WriteString(slow, req[:20]) // and no more: the header's time is over before the idle time would be
	if b, err := io.ReadAll(slow); err != nil || !bytes.HasPrefix(b, []byte("HTTP/1.1 400")) {
		t.Errorf("a slow header: %q, %v", b, err)
	}
	if b, err := io.ReadAll(never); err != nil || len(b) > 0 {
		t.Errorf("a silent one: %q, %v", b, err)
	}
}

// wrapped hides our connections, as netutil.LimitListener does.
type wrapped struct{ net.Listener }

func (w wrapped) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{c}, nil
}

// TestWrappedConnections do not move, since the wrapper would be lost; but they are known, told to go, and closed when they are idle
// at a stop.
func TestWrappedConnections(t *testing.T) {
	h := buildHouse(t, &http.Server{})
	h.serve(t, wrapped{h.gate})
	first, second := h.dial(t), h.dial(t)
	until(t, "both accepted", func() bool { return h.conns.count() == 2 })
	for _, c := range []net.Conn{first, second} {
		io.WriteString(c, post("x"))
		answer(t, bufio.NewReader(c))
	}
	until(t, "both idle", func() bool {
		return len(h.conns.list(func(t *tracked) bool { return phase(t.phase.Load()) == phaseIdle })) == 2
	})
	h.polite.Store(true)
	io.WriteString(first, post("x"))
	if res, err := http.ReadResponse(bufio.NewReader(first), nil); err != nil || !res.Close {
		t.Errorf("%v, %v", res, err)
	}
	until(t, "one left", func() bool { return h.conns.count() == 1 })
	h.conns.closeQuiet()
	if n := h.conns.count(); n != 0 {
		t.Errorf("%d idle connections left", n)
	}
}
