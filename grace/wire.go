package grace

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"
)

// protocolVersion is the newest handover protocol this package speaks, protocolOldest the oldest.
const (
	protocolVersion = 1
	protocolOldest  = 1
)

// maxFrame is the largest frame in bytes; a longer one ends the link.
const maxFrame = 1 << 20

// sendTimeout bounds a send: the frames are far smaller than a socket's buffer, so a peer that lets one
// fill up has stopped reading.
const sendTimeout = 2 * time.Second

// A message is one frame on the socketpair between predecessor and successor: a kind, and fields that are
// encoded as a URL query, so that both sides ignore what they do not know and do without what is missing.
type message struct {
	kind   string
	fields url.Values
	secret []byte // of SECRETS, instead of fields: a string cannot be wiped
}

// The kinds of protocol version 1. What a side does not know, it ignores; docs/reference/protocol.md says which are mandatory, and what happens
// when one of the others is missing.
const (
	msgOffer    = "OFFER"    // → protocols, generation, install path, probation, sockets
	msgHello    = "HELLO"    // ← protocol, pid, version
	msgExtend   = "EXTEND"   // ← another start timeout, please
	msgReady    = "READY"    // ← the indexes of the sockets that were claimed
	msgFail     = "FAIL"     // ← why it gives up before READY; a cause, if it is no protocol in common
	msgHealth   = "HEALTH"   // → asks for a vote
	msgHealthy  = "HEALTHY"  // ← the vote: empty, or what is wrong
	msgCommit   = "COMMIT"   // → it is final; a HUP to run, if one was kept
	msgAck      = "ACK"      // ← COMMIT was taken
	msgHangup   = "HANGUP"   // → a HUP came after COMMIT was sent: it is yours
	msgFollowed = "FOLLOWED" // → the service manager follows you now: speak
	msgStop     = "STOP"     // → a stop was asked for: drain and exit
	msgStopping = "STOPPING" // ← a stop was asked for here: my exit is no verdict
	msgAway     = "AWAY"     // ← I stand by for a successor of my own, or drain: my exit is no verdict
	msgBack     = "BACK"     // ← I serve again

	msgConn    = "CONN"    // → one idle connection, as a descriptor: its number, its socket's place in the offer, the rest of its idle time
	msgTaken   = "TAKEN"   // ← the connection of this number is mine; sent before a byte of it is read
	msgRefused = "REFUSED" // ← it is not: go on with it

	msgDrain = "DRAIN" // → an older generation, the sender or one before it: what it has left; or that it is gone
	msgCut   = "CUT"   // ← that generation is to close what it has left, and go

	msgSecrets  = "SECRETS"  // → the keys of TLS session tickets, after HELLO; an offer with secrets=1 promises it
	msgState    = "STATE"    // → a piece of a blob, or the end of a round of them; an offer with state=1 promises the first two rounds
	msgDeclined = "DECLINED" // ← a blob that cannot be read
	msgReleased = "RELEASED" // → I have let go: yours; an offer with exclusive=1 promises it
	msgNoWay    = "NOWAY"    // ← there is no way back to you any more; → I know
)

func newMessage(kind string, pairs ...string) message {
	m := message{kind: kind, fields: url.Values{}}
	for i := 0; i < len(pairs); i += 2 {
		m.fields.Add(pairs[i], pairs[i+1])
	}
	return m
}

func (m message) get(name string) string { return m.fields.Get(name) }

// frame is the message as it goes over the link: its length, 4 bytes big-endian, then kind?fields.
func (m message) frame() ([]byte, error) {
	body := m.kind + "?" + m.fields.Encode()
	n := len(body) + len(m.secret)
	if n > maxFrame {
		return nil, fmt.Errorf("send %s: %d bytes, more than %d", m.kind, n, maxFrame)
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+n), uint32(n))
	return append(append(frame, body...), m.secret...), nil
}

// errHalf is a frame of which only a part was written: whatever came after it would be read as the rest.
var errHalf = errors.New("half a frame")

func writeMessage(w io.Writer, m message) error {
	frame, err := m.frame()
	if err != nil {
		return err
	}
	defer clear(frame) // it may be a secret
	n, err := w.Write(frame)
	if err != nil && n > 0 {
		err = errors.Join(err, errHalf)
	}
	if err != nil {
		return fmt.Errorf("send %s: %w", m.kind, err)
	}
	return nil
}

func readMessage(r io.Reader) (message, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return message{}, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxFrame {
		return message{}, fmt.Errorf("read frame: %d bytes, more than %d", n, maxFrame)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return message{}, fmt.Errorf("read frame of %d bytes: %w", n, err)
	}
	if secret, ok := bytes.CutPrefix(body, []byte(msgSecrets+"?")); ok {
		return message{kind: msgSecrets, secret: secret}, nil
	}
	kind, query, _ := strings.Cut(string(body), "?")
	fields, _ := url.ParseQuery(query) // what it cannot read is missing: a later kind may have a body of another form
	return message{kind: kind, fields: fields}, nil
}

// A link is one end of the socketpair. Its messages arrive in order on in, which is closed when the other
// side is gone.
type link struct {
	conn net.Conn
	in   chan message
	done chan struct{}
	once sync.Once
	mu   sync.Mutex // guards writes

	// takes has the kinds that do not concern the owner of the state: they are taken here, by the goroutine of
	// read. Set before read runs, as is over, which runs after the last message.
	takes map[string]func(m message, descriptor int)
	over  func()
}

func newLink(conn net.Conn) *link {
	return &link{conn: conn, in: make(chan message, 16), done: make(chan struct{}),
		takes: map[string]func(message, int){}, over: func() {}}
}

// read feeds in until the other side is gone or close is called.
func (l *link) read() {
	defer close(l.in)
	defer l.over()
	r := rightsReader{conn: l.conn, got: noDescriptor}
	defer r.drop()
	for {
		r.drop()
		m, err := readMessage(&r)
		if err != nil {
			return
		}
		if take := l.takes[m.kind]; take != nil {
			take(m, r.take())
			continue
		}
		select {
		case l.in <- m:
		case <-l.done:
			return
		}
	}
}

// receive reads one message directly; only before read runs.
func (l *link) receive(timeout time.Duration) (message, error) {
	if err := l.conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return message{}, err
	}
	defer l.conn.SetReadDeadline(time.Time{})
	return readMessage(l.conn)
}

func (l *link) send(m message) error {
	if l == nil {
		return errors.New("no link")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return fmt.Errorf("send %s: %w", m.kind, err)
	}
	err := writeMessage(l.conn, m)
	if errors.Is(err, errHalf) {
		l.close() // the other side has not read for sendTimeout
	}
	return err
}

func (l *link) close() {
	l.once.Do(func() {
		close(l.done)
		l.conn.Close()
	})
}
