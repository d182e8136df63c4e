package grace

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A gate is the listener that an application gets: it can be parked without closing the socket, so that
// clients wait in the kernel's queue, which this process shares with its predecessor and successor.
//
// Parking sets a deadline in the past, which wakes a pending accept. That works only while the socket is in
// non-blocking mode, a property of the open file description that all generations share: whoever duplicates
// it must not use File or Fd (they clear it on the live listener; measured with Go 1.26).
type gate struct {
	p       *Process
	socket  Socket
	ln      deadlineListener
	owned   *unixOwner // of a Unix socket's file; nil for others
	index   int        // its place in the predecessor's offer; -1 if bound here
	offered int        // its place in the offer to the successor under way; -1 if it came later

	mu     sync.Mutex
	open   chan struct{} // closed while accepting
	parked bool
	closed chan struct{}

	web atomic.Pointer[webService] // set when HTTP is served on it: how to probe it
}

type deadlineListener interface {
	net.Listener
	SetDeadline(time.Time) error
}

func newGate(p *Process, s Socket, ln deadlineListener) *gate {
	g := &gate{p: p, socket: s, ln: ln, parked: true, offered: -1, open: make(chan struct{}), closed: make(chan struct{})}
	ln.SetDeadline(past)
	return g
}

var past = time.Unix(1, 0)

func (g *gate) park() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.parked {
		g.parked, g.open = true, make(chan struct{})
		g.ln.SetDeadline(past)
	}
}

func (g *gate) resume() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.parked {
		g.parked = false
		g.ln.SetDeadline(time.Time{})
		close(g.open)
	}
}

// end makes Accept return net.ErrClosed. The socket itself is closed too: this process never accepts again.
func (g *gate) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.closed:
	default:
		close(g.closed)
		g.ln.Close()
	}
}

// Accept waits until the gate is open and a connection comes.
func (g *gate) Accept() (net.Conn, error) {
	for {
		g.mu.Lock()
		open := g.open
		g.mu.Unlock()
		select {
		case <-open:
		case <-g.closed:
			return nil, net.ErrClosed
		}
		c, err := g.ln.Accept()
		switch {
		case err == nil:
			return g.p.conns.add(c), nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue // parked meanwhile
		case g.isClosed():
			return nil, net.ErrClosed
		}
		return nil, err
	}
}

func (g *gate) isClosed() bool {
	select {
	case <-g.closed:
		return true
	default:
		return false
	}
}

// Close ends the application's use of the listener: Accept returns net.ErrClosed, and no successor gets the socket.
func (g *gate) Close() error {
	g.end()
	return nil
}

// Addr is the address of the socket: with the port it really has.
func (g *gate) Addr() net.Addr { return g.ln.Addr() }
