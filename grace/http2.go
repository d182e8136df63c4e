package grace

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// HTTP/2 is told to go in two steps (RFC 9113, 6.8): a GOAWAY that names the largest stream there can be, so that the client opens
// no more; then, when what was on its way has arrived, one that names the last stream we saw; then the
// connection ends when its streams are done. net/http by itself sends one GOAWAY with the last stream that it has seen, and
// drops those that were on their way.
//
// net/http writes to a *tls.Conn, where nobody can get between its frames. But it also serves HTTP/2 without TLS, on any
// net.Conn, through the entry "unencrypted_http2" of TLSNextProto; and if that conn has a ConnectionState method, requests
// on it are TLS requests. So the connection that it gets is ours, which knows where frames end.
// TestTwoStepGoAway and TestH2C pin this; where the entry is missing, the one step of net/http remains.

// farewell is the time between the two steps: more than a round trip.
const farewell = time.Second

const (
	nextProtoH2    = "h2"
	nextProtoPlain = "unencrypted_http2"
	clientPreface  = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	prefaceTimeout = 10 * time.Second
)

// takeOverHTTP2 puts our connection between net/http and TLS, or the socket where there is none (h2c). It needs srv's HTTP/2 set up, which
// Serve does.
func (p *Process) takeOverHTTP2(srv *http.Server) {
	plain := srv.TLSNextProto[nextProtoPlain]
	if plain == nil {
		return
	}
	if srv.TLSNextProto[nextProtoH2] != nil {
		srv.TLSNextProto[nextProtoH2] = func(srv *http.Server, tc *tls.Conn, h http.Handler) {
			fc := &frameConn{Conn: tc}
			if err := fc.readPreface(); err != nil {
				tc.Close()
				return
			}
			defer p.follow(fc)()
			plain(srv, tls.Client(unencrypted{Conn: secureFrameConn{fc, tc}}, nil), h)
		}
	}
	srv.TLSNextProto[nextProtoPlain] = func(srv *http.Server, carrier *tls.Conn, h http.Handler) {
		u, ok := carrier.NetConn().(interface{ UnencryptedNetConn() net.Conn })
		if !ok {
			plain(srv, carrier, h)
			return
		}
		fc := &frameConn{Conn: u.UnencryptedNetConn()} // net/http has read the preface
		defer p.follow(fc)()
		plain(srv, tls.Client(unencrypted{Conn: fc}, nil), h)
	}
}

// follow makes fc known as the HTTP/2 of its connection, until the end of that.
func (p *Process) follow(fc *frameConn) (end func()) {
	t := trackedOf(fc)
	if t == nil {
		return func() {}
	}
	t.http2.Store(fc)
	if p.polite.Load() {
		p.farewellTo([]*frameConn{fc})
	}
	return func() { t.http2.Store(nil) }
}

// unencrypted is how net/http passes a connection without TLS through a type that is made for TLS.
type unencrypted struct{ net.Conn }

func (u unencrypted) UnencryptedNetConn() net.Conn { return u.Conn }

// farewellTo sends both steps. It does nothing more once this process serves again.
func (p *Process) farewellTo(conns []*frameConn) {
	for _, fc := range conns {
		go func() { // ends after farewell, or with a connection whose client does not read
			fc.goAway(false)
			time.Sleep(farewell) // the round trip that RFC 9113 asks for
			if p.polite.Load() {
				fc.goAway(true)
			}
		}()
	}
}

// frameConn is an HTTP/2 connection that knows where its frames end, around a *tls.Conn or a socket. A client that does not read holds up who
// writes to it, and nobody else.
type frameConn struct {
	net.Conn

	in      frameScanner  // only Read uses it
	highest atomic.Uint32 // stream that it has seen

	writing sync.Mutex // held by who writes
	out     frameScanner
	begun   bool // the server's SETTINGS are out: nothing may come before them

	mu      sync.Mutex // never held while writing
	pending []byte     // frames to send at the next boundary
	last    bool       // both steps are taken: end when idle
	idle    bool
}

// secureFrameConn is one in TLS, which net/http finds out by a method.
type secureFrameConn struct {
	*frameConn
	tls *tls.Conn
}

func (c secureFrameConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

// NetConn is what the frames go through.
func (c *frameConn) NetConn() net.Conn { return c.Conn }

func (c *frameConn) readPreface() error {
	c.SetReadDeadline(time.Now().Add(prefaceTimeout))
	defer c.SetReadDeadline(time.Time{})
	buf := make([]byte, len(clientPreface))
	if _, err := io.ReadFull(c.Conn, buf); err != nil {
		return err
	}
	if string(buf) != clientPreface {
		return errors.New("not HTTP/2")
	}
	return nil
}

func (c *frameConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.scan(b[:n])
	c.highest.Store(c.in.highest)
	return n, err
}

func (c *frameConn) Write(b []byte) (int, error) {
	c.writing.Lock()
	n, err := c.Conn.Write(b)
	c.out.scan(b[:n])
	c.begun = c.begun || n > 0
	c.writing.Unlock()
	c.flush()
	return n, err
}

// flush sends what waits, if nothing is half sent. While somebody else writes, it is his to do when he is done.
func (c *frameConn) flush() {
	for c.waiting() && c.writing.TryLock() {
		now := c.begun && c.out.between()
		if now {
			c.Conn.Write(c.take()) // an error shows at net/http's next write
		}
		c.writing.Unlock()
		if !now {
			return
		}
	}
}

func (c *frameConn) waiting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending) > 0
}

func (c *frameConn) take() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	frames := c.pending
	c.pending = nil
	return frames
}

// goAway sends the first or the last step.
func (c *frameConn) goAway(last bool) {
	stream := uint32(1<<31 - 1)
	if last {
		stream = c.highest.Load()
	}
	c.mu.Lock()
	c.pending = append(c.pending, goAwayFrame(stream)...)
	c.mu.Unlock()
	c.flush()
	if last {
		c.mu.Lock()
		c.last = true
		c.closeWhenIdle()
		c.mu.Unlock()
	}
}

// enter is told whether any stream is open.
func (c *frameConn) enter(idle bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = idle
	c.closeWhenIdle()
}

// flushTime is how long after the end of the last stream a connection closes: net/http calls it idle when the last frame is
// written, which is before it is flushed.
const flushTime = 100 * time.Millisecond

// closeWhenIdle closes the connection when it is done for good. The caller holds mu.
func (c *frameConn) closeWhenIdle() {
	if !c.last || !c.idle {
		return
	}
	time.AfterFunc(flushTime, func() {
		c.writing.Lock() // the last frame may be on its way
		defer c.writing.Unlock()
		c.mu.Lock()
		done := c.idle && len(c.pending) == 0
		c.mu.Unlock()
		if done {
			c.closeWrite()
		}
	})
}

// closeWrite ends our direction. The client closes when it has read to the end; a close from here would throw away what
// is still on its way to a slow one, as soon as that one sends anything. One that never closes meets the drain deadline.
func (c *frameConn) closeWrite() {
	for conn := c.Conn; ; {
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			half.CloseWrite()
		}
		outer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return
		}
		conn = outer.NetConn()
	}
}

// Frame types and the flag that ends a header block (RFC 9113, 6).
const (
	frameHeaders      = 0x1
	framePushPromise  = 0x5
	frameGoAway       = 0x7
	frameContinuation = 0x9
	flagEndHeaders    = 0x4
	frameHeaderLen    = 9
)

func goAwayFrame(stream uint32) []byte {
	f := []byte{0, 0, 8, frameGoAway, 0, 0, 0, 0, 0}
	f = binary.BigEndian.AppendUint32(f, stream)
	return binary.BigEndian.AppendUint32(f, 0) // NO_ERROR
}

// frameScanner follows one direction of a connection, in pieces of any size.
type frameScanner struct {
	head    [frameHeaderLen]byte
	have    int    // bytes of head
	left    int    // bytes of payload to come
	block   bool   // a header block is open: only its continuation may follow
	highest uint32 // highest stream that had a HEADERS frame
}

// between reports whether another frame may be put in here.
func (s *frameScanner) between() bool { return s.have == 0 && s.left == 0 && !s.block }

func (s *frameScanner) scan(b []byte) {
	for len(b) > 0 {
		if s.left > 0 {
			n := min(s.left, len(b))
			s.left -= n
			b = b[n:]
			continue
		}
		n := copy(s.head[s.have:], b)
		s.have += n
		b = b[n:]
		if s.have == frameHeaderLen {
			s.header()
		}
	}
}

func (s *frameScanner) header() {
	s.have = 0
	s.left = int(s.head[0])<<16 | int(s.head[1])<<8 | int(s.head[2])
	switch s.head[3] {
	case frameHeaders:
		s.highest = max(s.highest, binary.BigEndian.Uint32(s.head[5:])&(1<<31-1))
		s.block = s.head[4]&flagEndHeaders == 0
	case framePushPromise, frameContinuation:
		s.block = s.head[4]&flagEndHeaders == 0
	}
}
