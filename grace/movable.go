package grace

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// An idle connection can move to the successor: its descriptor is sent over the link and closed here, which tells the client nothing as long
// as another process holds a copy. That is right only while no byte of it is in this process, read but not yet answered.
//
// net/http does not say so, but its reads do. It waits for a request by filling a bufio.Reader, and the slice that it reads into is the
// whole buffer if, and only if, the buffer is empty; after k bytes of a pipelined request it is k bytes shorter. The first read of a
// connection shows the length of the empty buffer; but where h2c is spoken, net/http looks for its preface first, in shorter reads that leave all they
// read in the buffer. A byte that the background read of net/http took while a handler ran is put into the
// buffer first, and so shortens the next slice too. TestMovableReads pins this; should a later Go read otherwise, connections do not
// move and are drained by Connection: close.

// moves is what a tracked connection knows about moving. Its methods are called by the goroutine that serves the connection, but for
// kick, and for deadlines.
type moves struct {
	mu    sync.Mutex
	plain bool // HTTP/1 without TLS, as far as we know: only then the rest is kept

	full   int     // length of the slice that shows an empty buffer; 0 until it is known
	peeked int     // bytes read until then, which are all still in the buffer
	empty  bool    // the read under way showed one
	got    bool    // a byte was read since the connection was new or became idle
	start  [3]byte // the first bytes ever: PRI begins HTTP/2
	have   int     // how many of them there are
	barred bool    // HTTP/2, or hijacked

	reading bool // inside the socket's Read
	kicked  bool // and waked up from it by a deadline in the past
	moved   bool
	held    bool   // waits at a hold
	refused *mover // whose successor did not want it

	wish     time.Time     // the read deadline that the server has asked for
	deadline time.Time     // the one that holds, when it is not kicked
	silent   bool          // it has moved here, and has not spoken since
	since    time.Time     // then it came
	patience time.Time     // and until then it may stay silent; zero: for ever
	shift    time.Duration // it was silent so long: what the deadlines of its first request are late by
}

func (c tcpConn) Read(b []byte) (int, error)   { return c.tracked.read(b) }
func (c unixConn) Read(b []byte) (int, error)  { return c.tracked.read(b) }
func (c otherConn) Read(b []byte) (int, error) { return c.tracked.read(b) }

func (c tcpConn) SetReadDeadline(at time.Time) error   { return c.tracked.setReadDeadline(at) }
func (c unixConn) SetReadDeadline(at time.Time) error  { return c.tracked.setReadDeadline(at) }
func (c otherConn) SetReadDeadline(at time.Time) error { return c.tracked.setReadDeadline(at) }

func (c tcpConn) SetDeadline(at time.Time) error   { return c.tracked.setDeadline(at) }
func (c unixConn) SetDeadline(at time.Time) error  { return c.tracked.setDeadline(at) }
func (c otherConn) SetDeadline(at time.Time) error { return c.tracked.setDeadline(at) }

func (c tcpConn) Close() error   { return c.tracked.end() }
func (c unixConn) Close() error  { return c.tracked.end() }
func (c otherConn) Close() error { return c.tracked.end() }

// enter follows the states of net/http.
func (m *moves) enter(p phase) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch p {
	case phaseIdle:
		m.got = false
	case phaseActive:
		m.shift = 0
	case phaseHijacked:
		m.barred = true
	}
}

// watch says that HTTP is served on the bare connection. It comes before the first read.
func (m *moves) watch() {
	m.mu.Lock()
	m.plain = true
	m.mu.Unlock()
}

// movable reports whether nothing of the connection is in this process. The caller holds mu.
func (m *moves) movable() bool { return m.empty && !m.got && !m.barred }

// stays reports whether the connection will not move, so that its next answer must tell the client to go.
func (t *tracked) stays() bool {
	m := &t.moves
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.plain || m.barred || !t.wanted()
}

// wanted reports whether the successor, if it takes connections by now, has not refused this one. The caller holds mu.
func (t *tracked) wanted() bool {
	mv := t.all.mover.Load()
	return mv == nil || t.moves.refused != mv
}

// gone reports whether the connection has moved away.
func (m *moves) gone() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.moved
}

// read is the socket's Read; between two requests, the connection may move instead. Then it ends with io.EOF, and net/http closes.
func (t *tracked) read(b []byte) (int, error) {
	m := &t.moves
	m.mu.Lock()
	if !m.plain {
		m.mu.Unlock()
		return t.conn.Read(b)
	}
	defer m.mu.Unlock()
	if m.full == 0 && len(b) > len(clientPreface) {
		m.full = len(b) + m.peeked
	}
	m.empty = len(b) == m.full || m.full == 0 && m.peeked == 0
	for !m.moved {
		if h := t.all.hold.Load(); h != nil && m.movable() && t.wanted() && t.await(h) {
			break
		}
		if mv := t.all.mover.Load(); mv != nil && m.movable() && t.wanted() && t.move(mv) {
			break
		}
		m.reading = true
		m.mu.Unlock()
		n, err := t.conn.Read(b)
		m.mu.Lock()
		m.reading = false
		kicked := m.kicked
		if kicked {
			m.kicked = false
			t.conn.SetReadDeadline(m.deadline)
		}
		if n > 0 {
			t.heard(b[:n])
			return n, err
		}
		if !kicked || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
	}
	return 0, io.EOF
}

// heard notes what the client has sent. The caller holds mu.
func (t *tracked) heard(b []byte) {
	m := &t.moves
	m.got = true
	if m.full == 0 {
		m.peeked += len(b)
	}
	if m.have < len(m.start) {
		m.have += copy(m.start[m.have:], b)
		m.barred = m.barred || string(m.start[:]) == clientPreface[:len(m.start)]
	}
	if m.silent {
		m.silent, m.shift = false, time.Since(m.since)
		m.deadline = m.holds(m.wish)
		t.conn.SetReadDeadline(m.deadline)
	}
}

// kick wakes a read that waits for the next request, so that it looks whether the connection may move.
func (t *tracked) kick() {
	m := &t.moves
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reading && !m.kicked && m.movable() && t.wanted() {
		m.kicked = true
		t.conn.SetReadDeadline(past)
	}
}

// move passes the connection on. The caller holds mu, which is free meanwhile.
func (t *tracked) move(mv *mover) bool {
	m := &t.moves
	rest := time.Duration(0)
	if !m.deadline.IsZero() {
		rest = max(time.Until(m.deadline), time.Millisecond)
	}
	m.mu.Unlock()
	fate := mv.pass(t, rest)
	m.mu.Lock()
	switch fate {
	case fateTaken:
		m.moved = true
		t.all.total.moved.Add(1)
	case fateRefused:
		m.refused = mv
	}
	return m.moved
}

// arrive marks a connection that has moved here: nobody has read from it yet, and it may stay silent for rest (0: for ever).
//
// For net/http it is a new connection, whose header must come within ReadHeaderTimeout. For its client it is an old one, between two
// requests. So the deadlines of the first request count from its first byte.
func (t *tracked) arrive(rest time.Duration) {
	m := &t.moves
	m.silent, m.since = true, time.Now()
	if rest > 0 {
		m.patience = m.since.Add(rest)
	}
	m.deadline = m.patience
	t.conn.SetReadDeadline(m.patience)
}

func (t *tracked) setReadDeadline(at time.Time) error {
	m := &t.moves
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wish, m.deadline = at, m.holds(at)
	if m.kicked {
		return nil
	}
	return t.conn.SetReadDeadline(m.deadline)
}

func (t *tracked) setDeadline(at time.Time) error {
	return errors.Join(t.conn.SetWriteDeadline(at), t.setReadDeadline(at))
}

// holds returns the deadline that holds when the server wishes at. The caller holds mu.
func (m *moves) holds(at time.Time) time.Time {
	switch {
	case at.IsZero() || at.After(m.since):
	default:
		return at // in the past: somebody wants the read to end
	}
	switch {
	case m.silent:
		return m.patience
	case at.IsZero():
		return at
	}
	return at.Add(m.shift)
}
