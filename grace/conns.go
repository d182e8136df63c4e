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
	changed chan struct{} // holds one token after any change
}

func newConns() *conns {
	return &conns{set: map[*tracked]struct{}{}, changed: make(chan struct{}, 1)}
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

type tracked struct {
	all   *conns
	close func() error
	phase atomic.Int32
	http2 atomic.Pointer[frameConn] // set while HTTP/2 is spoken
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

func (c tcpConn) Close() error   { return c.tracked.end() }
func (c unixConn) Close() error  { return c.tracked.end() }
func (c otherConn) Close() error { return c.tracked.end() }

func (c *conns) add(conn net.Conn) net.Conn {
	t := &tracked{all: c, close: conn.Close}
	c.mu.Lock()
	c.set[t] = struct{}{}
	c.mu.Unlock()
	switch v := conn.(type) {
	case *net.TCPConn:
		return tcpConn{v, t}
	case *net.UnixConn:
		return unixConn{v, t}
	}
	return otherConn{conn, t}
}

// trackedOf finds the wrapper below whatever the application or TLS put around it.
func trackedOf(conn net.Conn) *tracked {
	for {
		switch v := conn.(type) {
		case tcpConn:
			return v.tracked
		case unixConn:
			return v.tracked
		case otherConn:
			return v.tracked
		case interface{ NetConn() net.Conn }:
			conn = v.NetConn()
		default:
			return nil
		}
	}
}

func (t *tracked) end() error {
	t.all.mu.Lock()
	delete(t.all.set, t)
	t.all.mu.Unlock()
	t.all.note()
	return t.close()
}

func (t *tracked) enter(p phase) {
	t.phase.Store(int32(p))
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

// http2 lists the connections that speak it.
func (c *conns) http2() (list []*frameConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for t := range c.set {
		if fc := t.http2.Load(); fc != nil {
			list = append(list, fc)
		}
	}
	return list
}

// closeAll closes every connection for which which returns true, and returns their number.
func (c *conns) closeAll(which func(phase) bool) int {
	c.mu.Lock()
	var found []*tracked
	for t := range c.set {
		if which(phase(t.phase.Load())) {
			found = append(found, t)
		}
	}
	c.mu.Unlock()
	for _, t := range found {
		t.end()
	}
	return len(found)
}
