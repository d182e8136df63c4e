//go:build unix

package grace

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, &http.Server{})
			conn := h.dial(t)
			br := bufio.NewReader(conn)
			for i, s := range c.send {
				io.WriteString(conn, s)
				if i < len(c.send)-1 {
					answer(t, br)
				}
			}
			tr := h.only(t)
			if s := c.send[len(c.send)-1]; s != "" {
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
			if got != c.movable {
				t.Errorf("movable %t", got)
			}
		})
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

// TestMove: idle connections go over, busy ones when they are idle again, and each goes on where it was.
func TestMove(t *testing.T) {
	running, goOn := make(chan bool), make(chan bool)
	name := func(n string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				running <- true
				<-goOn
			}
			fmt.Fprint(w, n)
		})
	}
	old := newHouse(t, &http.Server{Handler: name("old"), IdleTimeout: time.Minute, ReadHeaderTimeout: 10 * time.Second})
	next := newHouse(t, &http.Server{Handler: name("next")})
	mv := next.follows(t, old)
	idle, silent, busy := old.dial(t), old.dial(t), old.dial(t)
	idleBr, busyBr := bufio.NewReader(idle), bufio.NewReader(busy)
	io.WriteString(idle, post(""))
	if got := answer(t, idleBr); got != "old" {
		t.Fatal(got)
	}
	io.WriteString(busy, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-running

	old.conns.mover.Store(mv)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go mv.run(ctx, old.conns)
	until(t, "two of three over", func() bool { return next.conns.count() == 2 && old.conns.count() == 1 })
	io.WriteString(idle, post(""))
	io.WriteString(silent, post(""))
	for _, br := range []*bufio.Reader{idleBr, bufio.NewReader(silent)} {
		if got := answer(t, br); got != "next" {
			t.Errorf("answered by %s", got)
		}
	}
	goOn <- true
	if got := answer(t, busyBr); got != "old" {
		t.Errorf("answered by %s", got)
	}
	until(t, "all over", func() bool { return next.conns.count() == 3 && old.conns.count() == 0 })
	io.WriteString(busy, post(""))
	if got := answer(t, busyBr); got != "next" {
		t.Errorf("answered by %s", got)
	}
}

// TestMoveRaces: bytes that arrive while a connection is about to move are served, once, on one side or the other.
func TestMoveRaces(t *testing.T) {
	old, next := newHouse(t, &http.Server{}), newHouse(t, &http.Server{})
	mv := next.follows(t, old)
	var wg sync.WaitGroup
	for i := range 50 {
		conn := old.dial(t)
		wg.Go(func() {
			br := bufio.NewReader(conn)
			for n := range 200 {
				body := fmt.Sprintf("%d:%d", i, n)
				if _, err := io.WriteString(conn, post(body)); err != nil {
					t.Error(err)
					return
				}
				res, err := http.ReadResponse(br, nil)
				if err != nil {
					t.Errorf("request %d of connection %d: %v", n, i, err)
					return
				}
				if b, err := io.ReadAll(res.Body); err != nil || string(b) != body || res.Close {
					t.Errorf("request %d of connection %d: %q, %v", n, i, b, err)
					return
				}
				if n == 20 {
					old.conns.mover.Store(mv)
				}
				if n > 20 {
					for _, tr := range old.conns.list(func(*tracked) bool { return true }) {
						tr.kick()
					}
				}
			}
		})
	}
	wg.Wait()
	until(t, "all over", func() bool { return old.conns.count() == 0 })
}

// TestMoveRefused: what the successor refuses, or never takes because it dies, is served on here.
func TestMoveRefused(t *testing.T) {
	for name, deal := range map[string]func(b *link, m message, fd int){
		"refused":         func(b *link, m message, fd int) { b.send(newMessage(msgRefused, "number", m.get("number"))) },
		"dies over it":    func(b *link, m message, fd int) { b.close() },
		"dies with a lie": func(b *link, m message, fd int) { b.send(newMessage(msgTaken, "number", "77")); b.close() },
	} {
		t.Run(name, func(t *testing.T) {
			old := newHouse(t, &http.Server{ReadHeaderTimeout: 10 * time.Second})
			a, b := linkPair(t)
			mv := newMover(a)
			mv.places[old.gate] = 0
			b.takes[msgConn] = func(m message, fd int) {
				if fd == noDescriptor {
					t.Error("no descriptor")
				} else if c, err := connFromDescriptor(fd); err == nil {
					c.Close()
				}
				deal(b, m, fd)
			}
			go a.read()
			go b.read()
			conn := old.dial(t)
			br := bufio.NewReader(conn)
			io.WriteString(conn, post("a"))
			answer(t, br)
			tr := old.only(t)
			old.conns.mover.Store(mv)
			tr.kick()
			until(t, "the answer", func() bool {
				tr.moves.mu.Lock()
				defer tr.moves.mu.Unlock()
				return !tr.moves.kicked && tr.moves.reading
			})
			io.WriteString(conn, post("b"))
			if got := answer(t, br); got != "b" {
				t.Errorf("%q", got)
			}
		})
	}
}

// TestMoveWindow: when the successor does not answer, no more than moveWindow connections wait for it. The others are served here.
func TestMoveWindow(t *testing.T) {
	old := newHouse(t, &http.Server{})
	a, _ := linkPair(t) // nobody reads the other end
	mv := newMover(a)
	go a.read()
	mv.places[old.gate] = 0
	const n = 5 * moveWindow
	var conns []net.Conn
	for range n {
		conns = append(conns, old.dial(t))
	}
	until(t, "all accepted", func() bool { return old.conns.count() == n })
	old.conns.mover.Store(mv)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go mv.run(ctx, old.conns)
	onTheirWay := func() int { mv.mu.Lock(); defer mv.mu.Unlock(); return len(mv.waiting) }
	until(t, "a full window", func() bool { return onTheirWay() == moveWindow })
	var served atomic.Int32
	for _, c := range conns {
		io.WriteString(c, post("x"))
		go func() { // ends with the connection
			if res, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil && !res.Close {
				served.Add(1)
			}
		}()
	}
	until(t, "the others served", func() bool { return served.Load() == n-moveWindow })
	if got := onTheirWay(); got != moveWindow {
		t.Errorf("%d on their way", got)
	}
	old.conns.mover.Store(nil)
	a.close() // as when it dies
	until(t, "those served, too", func() bool { return served.Load() == n })
}

// TestNoMovesWhileIll: after a bad round of health nothing is sent until a good one.
func TestNoMovesWhileIll(t *testing.T) {
	old, next := newHouse(t, &http.Server{}), newHouse(t, &http.Server{})
	mv := next.follows(t, old)
	mv.resting.Store(true)
	old.dial(t)
	tr := old.only(t)
	old.conns.mover.Store(mv)
	tr.kick()
	until(t, "back in its read", func() bool {
		tr.moves.mu.Lock()
		defer tr.moves.mu.Unlock()
		return tr.moves.reading && !tr.moves.kicked
	})
	if next.conns.count() != 0 {
		t.Error("it moved")
	}
	mv.resting.Store(false)
	tr.kick()
	until(t, "moved", func() bool { return next.conns.count() == 1 && old.conns.count() == 0 })
}

// TestSendConnNeverWaits: a queue that nobody reads is full at some time.
func TestSendConnNeverWaits(t *testing.T) {
	a, _ := linkPair(t)
	conn := newHouse(t, &http.Server{}).dial(t).(syscall.Conn)
	sent := 0
	for ; sent < 100_000; sent++ {
		if err := a.sendConn(newMessage(msgConn, "number", "1"), conn); err != nil {
			if !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, unix.ETOOMANYREFS) {
				t.Error(err)
			}
			t.Logf("full after %d", sent)
			return
		}
	}
	t.Errorf("%d sent, and nobody reads", sent)
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
	time.Sleep(header / 3)
	io.WriteString(late, req[20:len(req)-1])
	time.Sleep(header / 3)
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

// TestFreshFirst: of connections that moved here and one that waits in the kernel's queue, Accept returns that one first; a parked
// gate still delivers those that moved.
func TestFreshFirst(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{conns: newConns()}
	g := newGate(p, Socket{}, ln.(deadlineListener))
	defer g.end()
	var moved []*tracked
	for range 3 {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		moved = append(moved, p.conns.add(g, a))
	}
	g.bring(moved[0])
	if c, err := g.Accept(); err != nil || trackedOf(c) != moved[0] {
		t.Fatalf("a parked gate: %v, %v", c, err)
	}
	g.resume()
	fresh, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	until(t, "the fresh one in the queue", func() bool { return waiting(g.ln) })
	g.bring(moved[1])
	g.bring(moved[2])
	var order []string
	for range 3 {
		c, err := g.Accept()
		if err != nil {
			t.Fatal(err)
		}
		switch trackedOf(c) {
		case moved[1]:
			order = append(order, "first")
		case moved[2]:
			order = append(order, "second")
		default:
			order = append(order, "fresh")
			c.Close()
		}
	}
	if got := strings.Join(order, " "); got != "fresh first second" {
		t.Errorf("order %s", got)
	}
}
