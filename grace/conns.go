package grace

import (
	"net"
	"sync"
	"sync/atomic"
)

// conns are the open connections that came in through this process's gates.
type conns struct {
	mu      sync.Mutex
	set     map[*tracked]struct{}
	peers   map[net.Addr]*tracked // of gates that are hidden, by the address of the other side, whose pointer is the connection's own
	changed chan struct{}         // holds one token after any change

	mover atomic.Pointer[mover] // set while connections may move to the successor
	hold  atomic.Pointer[hold]  // set while idle ones must not be read
	total counters
}

func newConns() *conns {
	return &conns{set: map[*tracked]struct{}{}, peers: map[net.Addr]*tracked{}, changed: make(chan struct{}, 1)}
}

// phase is what an HTTP connection is doing; other protocols stay in phaseRaw.
type phase int32

const (
	phaseRaw phase = iota
	phaseNew
	phaseActive
	phaseIdle
	phaseHijacked
)

// tracked is a connection as this process sees it.
type tracked struct {
	all   *conns
	gate  *gate
	conn  net.Conn
	phase atomic.Int32
	http2 atomic.Pointer[frameConn] // set while HTTP/2 is spoken
	last  politeWriter              // of the request under way: HTTP/1 has one at a time
	moves moves

	hijacked atomic.Pointer[net.Conn] // what Hijack returned
}

// The wrappers embed the concrete type, so that what it can do (sendfile through ReadFrom, CloseWrite) is
// still there for net/http to find.
type tcpConn struct {
	*net.TCPConn
	*tracked
}

type unixConn struct {
	*net.UnixConn
	*tracked
}

type otherConn struct {
	net.Conn
	*tracked
}

func (c *conns) add(g *gate, conn net.Conn) *tracked {
	t := &tracked{all: c, gate: g, conn: conn}
	c.mu.Lock()
	c.set[t] = struct{}{}
	if g.hidden.Load() {
		c.peers[conn.RemoteAddr()] = t
	}
	c.mu.Unlock()
	return t
}

// wrap returns the connection as the application gets it.
func (t *tracked) wrap() net.Conn {
	switch v := t.conn.(type) {
	case *net.TCPConn:
		return tcpConn{v, t}
	case *net.UnixConn:
		return unixConn{v, t}
	}
	return otherConn{t.conn, t}
}

// bare returns the connection if conn is our wrapper itself, with nothing around it.
func bare(conn net.Conn) *tracked {
	switch v := conn.(type) {
	case tcpConn:
		return v.tracked
	case unixConn:
		return v.tracked
	case otherConn:
		return v.tracked
	}
	return nil
}

// trackedOf finds the wrapper below whatever the application or TLS put around it.
func trackedOf(conn net.Conn) *tracked {
	for {
		if t := bare(conn); t != nil {
			return t
		}
		v, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		conn = v.NetConn()
	}
}

// below finds our connection in a wrapper of the application's listener. Not in the accept loop: one that reads the address
// from the connection itself (the PROXY protocol) waits there, and we do not know it.
func (c *conns) below(conn net.Conn) *tracked {
	peer := conn.RemoteAddr()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peers[peer]
}

func (t *tracked) end() error {
	if t.leave() && t.gate.p.polite.Load() && !t.moves.gone() {
		t.all.total.drained.Add(1)
	}
	return t.conn.Close()
}

// leave takes the connection off the list, and reports whether it was on it.
func (t *tracked) leave() bool {
	t.all.mu.Lock()
	_, was := t.all.set[t]
	delete(t.all.set, t)
	if t.gate.hidden.Load() {
		delete(t.all.peers, t.conn.RemoteAddr())
	}
	t.all.mu.Unlock()
	t.all.note()
	return was
}

// enter is told by net/http what the connection does now.
func (t *tracked) enter(p phase) {
	t.phase.Store(int32(p))
	t.moves.enter(p)
	if fc := t.http2.Load(); fc != nil {
		fc.enter(p == phaseIdle)
	}
	t.all.note()
}

func (c *conns) note() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *conns) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.set)
}

// list returns every connection for which which returns true.
func (c *conns) list(which func(*tracked) bool) (found []*tracked) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for t := range c.set {
		if which(t) {
			found = append(found, t)
		}
	}
	return found
}

// http2 lists the connections that speak it.
func (c *conns) http2() (list []*frameConn) {
	for _, t := range c.list(func(t *tracked) bool { return t.http2.Load() != nil }) {
		if fc := t.http2.Load(); fc != nil {
			list = append(list, fc)
		}
	}
	return list
}

// closeQuiet closes every connection on which no answer is owed.
func (c *conns) closeQuiet() {
	for _, t := range c.list(func(t *tracked) bool { return quiet(phase(t.phase.Load())) }) {
		t.end()
	}
}

// cut closes every connection, whatever it does, and returns their number.
func (c *conns) cut() (n int) {
	for _, t := range c.list(func(*tracked) bool { return true }) {
		if t.leave() {
			c.total.cut.Add(1)
			n++
		}
		t.conn.Close()
	}
	return n
}
