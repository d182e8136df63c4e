package proxy

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// farewell is within how long clients are told to move on: at once, they would all come back at once. Tests have less time.
var farewell = 2 * time.Second

func isWebSocket(r *http.Request) bool {
	return r.ProtoMajor == 1 && strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// goingAway is a close frame with code 1001 (RFC 6455, 7.4.1), as a server sends it.
var goingAway = []byte{0x88, 2, 1001 >> 8, 1001 & 0xff}

// tunnel is the client's side of a WebSocket that is passed on. What the upstream sends goes through Write, which knows where frames end: between two of
// them it can say goodbye. The client's answer goes to the upstream, which closes as if the client had begun it.
type tunnel struct {
	net.Conn
	once sync.Once
	done chan struct{}

	mu      sync.Mutex
	frame   frame
	leaving bool // goodbye is to be said at the next end of a frame
	said    bool
}

func newTunnel(c net.Conn, draining <-chan struct{}) *tunnel {
	t := &tunnel{Conn: c, done: make(chan struct{})}
	go t.leave(draining)
	return t
}

// leave says goodbye when the time has come. It ends with the connection.
func (t *tunnel) leave(draining <-chan struct{}) {
	select {
	case <-draining:
	case <-t.done:
		return
	}
	select {
	case <-time.After(rand.N(farewell)):
	case <-t.done:
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leaving = true
	t.sayGoodbye()
}

// sayGoodbye does so if it is time for it. The caller holds mu.
func (t *tunnel) sayGoodbye() {
	if t.leaving && !t.said && t.frame.between() && !t.frame.closed {
		t.said = true
		t.Conn.Write(goingAway)
	}
}

func (t *tunnel) Write(b []byte) (n int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n < len(b) {
		if t.said {
			return len(b), nil // nothing may follow a close frame
		}
		end := len(b)
		if t.leaving {
			end = n + t.frame.skip(b[n:])
		} else {
			t.frame.follow(b)
		}
		k, err := t.Conn.Write(b[n:end])
		if n += k; err != nil {
			return n, err
		}
		t.sayGoodbye()
	}
	return n, nil
}

func (t *tunnel) Close() error {
	t.once.Do(func() { close(t.done) })
	return t.Conn.Close()
}

// CloseWrite passes on that the upstream will say no more.
func (t *tunnel) CloseWrite() error {
	if c, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return t.Close()
}

// frame follows a stream of WebSocket frames (RFC 6455, 5.2) without looking at what is in them.
type frame struct {
	header [14]byte
	have   int    // bytes of the header under way
	left   uint64 // bytes of the payload under way
	closed bool   // a close frame has begun
}

// between reports whether the next byte begins a frame.
func (f *frame) between() bool { return f.have == 0 && f.left == 0 }

// follow goes through all of b.
func (f *frame) follow(b []byte) {
	for len(b) > 0 {
		b = b[f.skip(b):]
	}
}

// skip goes to the end of the frame under way, or of b, and returns how many bytes that are.
func (f *frame) skip(b []byte) (n int) {
	for n < len(b) && f.left == 0 {
		f.header[f.have] = b[n]
		f.have++
		n++
		if f.complete() && f.left == 0 {
			return n
		}
	}
	k := min(f.left, uint64(len(b)-n))
	f.left -= k
	return n + int(k)
}

// complete looks whether the header is: then it sets left.
func (f *frame) complete() bool {
	if f.have < 2 {
		return false
	}
	size, length := 2, uint64(f.header[1]&0x7f)
	switch length {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if f.header[1]&0x80 != 0 {
		size += 4 // a mask
	}
	if f.have < size {
		return false
	}
	switch length {
	case 126:
		length = uint64(binary.BigEndian.Uint16(f.header[2:]))
	case 127:
		length = binary.BigEndian.Uint64(f.header[2:])
	}
	f.closed = f.closed || f.header[0]&0xf == 8
	f.have, f.left = 0, length
	return true
}
