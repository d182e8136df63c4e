//go:build unix

package grace

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
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
