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
	owned   *unixOwner  // of a Unix socket's file; nil for others
	unit    *unitSocket // nil unless a service manager made the socket
	index   int         // its place in the predecessor's offer; -1 if bound here
	offered int         // its place in the offer to the successor under way; -1 if it came later

	mu      sync.Mutex
	open    chan struct{} // closed while accepting
	parked  bool
	closed  chan struct{}
	ended   bool          // the socket is closed, too
	arrived []*tracked    // connections of the predecessor, for Accept
	bell    chan struct{} // holds a token when one has come
	nudged  bool          // the deadline on ln is there to wake Accept for them

	wanted atomic.Bool // somebody accepts, or is about to

	hidden atomic.Bool                // served through a listener around it, which may hide our connections
	web    atomic.Pointer[webService] // set when HTTP is served on it: how to probe it
}

type deadlineListener interface {
	net.Listener
	SetDeadline(time.Time) error
}

func newGate(p *Process, s Socket, ln deadlineListener) *gate {
	g := &gate{p: p, socket: s, ln: ln, parked: true, offered: -1, open: make(chan struct{}), closed: make(chan struct{}), bell: make(chan struct{}, 1)}
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
		g.parked, g.nudged = false, false
		g.ln.SetDeadline(time.Time{})
		close(g.open)
	}
}

// end makes Accept return net.ErrClosed. The socket itself is closed too: this process never accepts again.
func (g *gate) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leave()
	g.ended = true
	g.ln.Close()
}

// leave makes Accept return net.ErrClosed. The caller holds mu.
func (g *gate) leave() {
	if !g.isClosed() {
		close(g.closed)
		g.ln.SetDeadline(past) // wakes it
	}
}

// hasEnded reports whether the socket is closed.
func (g *gate) hasEnded() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ended
}

// Accept waits until the gate is open and a connection comes, or one that has moved here from the predecessor; of those
// there may be many at once, so fresh ones go first.
func (g *gate) Accept() (net.Conn, error) {
	g.wanted.Store(true)
	for {
		t, open := g.next()
		if t != nil {
			return t.wrap(), nil
		}
		select {
		case <-open:
		case <-g.bell:
			continue
		case <-g.closed:
			if t, _ := g.next(); t != nil {
				return t.wrap(), nil
			}
			return nil, net.ErrClosed
		}
		c, err := g.ln.Accept()
		switch {
		case err == nil:
			g.p.conns.total.accepted.Add(1)
			return g.p.conns.add(g, c).wrap(), nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue // parked, or nudged
		case g.isClosed():
			continue
		}
		return nil, err
	}
}

// yield is how long a connection that has moved here waits for a fresh one that is about to be accepted.
const yield = time.Millisecond

// next returns the connection that moved here first, unless a fresh one waits in the kernel's queue; and what says that
// the gate is open.
func (g *gate) next() (*tracked, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	busy := !g.parked && !g.isClosed()
	switch {
	case len(g.arrived) > 0 && busy && waiting(g.ln):
		g.nudge(time.Now().Add(yield)) // somebody else may take it
	case len(g.arrived) > 0:
		t := g.arrived[0]
		g.arrived = g.arrived[1:]
		return t, g.open
	case g.nudged && busy:
		g.nudged = false
		g.ln.SetDeadline(time.Time{})
	}
	return nil, g.open
}

// nudge makes Accept look again at the given time. The caller holds mu; the gate is open.
func (g *gate) nudge(at time.Time) {
	g.nudged = true
	g.ln.SetDeadline(at)
}

// bring gives a connection that has moved here to Accept, even while the gate is parked: the predecessor does not serve it
// any more.
func (g *gate) bring(t *tracked) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isClosed() { // stopped meanwhile
		t.end()
		return
	}
	g.arrived = append(g.arrived, t)
	if !g.parked {
		g.nudge(past)
	}
	select {
	case g.bell <- struct{}{}:
	default:
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

// Close ends the application's use of the listener: Accept returns net.ErrClosed, and no successor gets the socket. Where this process has been
// replaced, and a server closes its listener to drain (as that of gRPC does), the socket stays: if the successor dies, the next start gets it,
// and clients wait for that in the kernel's queue.
func (g *gate) Close() error {
	if !g.p.relieved.Load() {
		g.end()
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leave()
	return nil
}

// Addr is the address of the socket: with the port it really has.
func (g *gate) Addr() net.Addr { return g.ln.Addr() }
