package grace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Idle connections move to the successor in the second half of probation and during the drain, moveBatch every movePace: all at once would
// keep fresh connections waiting. One that is busy moves by itself when it next falls idle. After a round, those that did not go (too
// many were on their way) are asked again after moveAgain.
//
// At most moveWindow are on their way, and none after a bad round of health until a good one: a question that waits behind a thousand
// connections would be answered too late, and a successor that is only busy be taken for hung, with all that it was given.
const (
	moveBatch  = 8
	moveWindow = 64
	movePace   = time.Millisecond
	moveAgain  = 50 * time.Millisecond
)

// A mover passes connections to one successor. A connection is the successor's once it says TAKEN, which it does before it reads a byte;
// until then this process keeps its descriptor. So whatever happens to the successor before, or to the message, the connection is
// served on here.
type mover struct {
	link    *link
	places  map[*gate]int // of the sockets that the successor serves, in the offer
	resting atomic.Bool   // the last round of health was bad
	late    atomic.Bool   // the drain deadline is near, or the successor has gone as it was to: what has not moved is told to go

	mu      sync.Mutex
	waiting map[string]chan<- fate // by number
	last    int
	over    bool
}

// fate is what became of an attempt to move.
type fate int

const (
	fateStays   fate = iota // not now: too many are on their way, or the link is gone
	fateTaken               // the successor serves it
	fateRefused             // the successor will not have it
)

// newMover is called before the link is read.
func newMover(l *link) *mover {
	m := &mover{link: l, places: map[*gate]int{}, waiting: map[string]chan<- fate{}}
	l.takes[msgTaken] = func(answer message, _ int) { m.answer(answer.get("number"), fateTaken) }
	l.takes[msgRefused] = func(answer message, _ int) { m.answer(answer.get("number"), fateRefused) }
	l.over = m.end
	return m
}

// pass sends a connection and waits for the answer: there is one as long as the successor lives, or the end of the link.
func (m *mover) pass(t *tracked, rest time.Duration) fate {
	place, ok := m.places[t.gate]
	conn, isSocket := t.conn.(syscall.Conn)
	if !ok || !isSocket {
		return fateRefused
	}
	answer := make(chan fate, 1)
	m.mu.Lock()
	if m.over || m.room() == 0 {
		m.mu.Unlock()
		return fateStays
	}
	m.last++
	number := strconv.Itoa(m.last)
	m.waiting[number] = answer
	m.mu.Unlock()
	msg := newMessage(msgConn, "number", number, "socket", strconv.Itoa(place), "rest", strconv.FormatInt(rest.Milliseconds(), 10))
	if err := m.link.sendConn(msg, conn); err != nil {
		m.answer(number, fateStays)
	}
	return <-answer
}

// room is how many more may be on their way. The caller holds mu.
func (m *mover) room() int {
	if m.resting.Load() {
		return 0
	}
	return max(0, moveWindow-len(m.waiting))
}

func (m *mover) answer(number string, f fate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if waiting, ok := m.waiting[number]; ok {
		delete(m.waiting, number)
		waiting <- f
	}
}

// end is the end of the link: what the successor has not taken by now, it never had. No answer says Connection: close for that: whoever
// owns the state finds out whether this process serves again, and a client may have sent more requests already.
func (m *mover) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over = true
	for number, waiting := range m.waiting {
		delete(m.waiting, number)
		waiting <- fateStays
	}
}

// serves reports whether connections of a gate may move.
func (m *mover) serves(g *gate) bool {
	_, ok := m.places[g]
	return ok && !m.late.Load()
}

// run asks idle connections to move until ctx ends.
func (m *mover) run(ctx context.Context, c *conns) {
	pace := time.NewTimer(0)
	defer pace.Stop()
	var round []*tracked
	for {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
		if len(round) == 0 {
			round = c.list(func(t *tracked) bool { return m.serves(t.gate) })
		}
		m.mu.Lock()
		n := min(moveBatch, len(round), m.room())
		m.mu.Unlock()
		for _, t := range round[:n] {
			t.kick()
		}
		if round = round[n:]; len(round) > 0 {
			pace.Reset(movePace)
		} else {
			pace.Reset(moveAgain)
		}
	}
}

// beginMoves lets connections move to the successor, once.
func (p *Process) beginMoves(c *child) {
	if !c.moves || c.stopMoves != nil {
		return
	}
	p.mu.Lock()
	for _, g := range p.gates {
		if c.claimed[g.offered] && !g.socket.Held {
			c.mover.places[g] = g.offered
		}
	}
	p.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	c.stopMoves = cancel
	p.conns.mover.Store(c.mover)
	go c.mover.run(ctx, p.conns)
}

// endMoves keeps connections here again.
func (p *Process) endMoves(c *child) {
	p.conns.mover.Store(nil)
	if c != nil && c.stopMoves != nil {
		c.stopMoves()
	}
}

// moving reports whether a connection goes to the successor when it is idle.
func (p *Process) moving(t *tracked) bool {
	if t == nil || t.stays() {
		return false
	}
	m := p.conns.mover.Load()
	return m != nil && m.serves(t.gate) || p.conns.hold.Load() != nil && !t.gate.socket.Held
}

// adopt takes a connection that the predecessor sends.
func (p *Process) adopt(m message, descriptor int) {
	answer := newMessage(msgTaken, "number", m.get("number"))
	t, err := p.take(m, descriptor)
	if err != nil {
		p.log.Debug("refuse a connection of the predecessor", "err", err)
		answer.kind = msgRefused
	}
	err = p.up.send(answer)
	switch {
	case t == nil:
	case errors.Is(err, os.ErrDeadlineExceeded): // the predecessor lives, and does not know that it is ours
		t.end()
	default:
		t.gate.bring(t)
	}
}

// take makes the descriptor a connection of the gate that it came in through.
func (p *Process) take(m message, descriptor int) (*tracked, error) {
	if descriptor == noDescriptor {
		return nil, errors.New("no descriptor came with it: is their number exhausted?")
	}
	conn, err := connFromDescriptor(descriptor)
	if err != nil {
		return nil, err
	}
	if scarce(conn) {
		conn.Close()
		return nil, errors.New("few descriptors are left")
	}
	g := p.servesPlain(m.get("socket"))
	if g == nil {
		conn.Close()
		return nil, fmt.Errorf("socket %s does not serve plain HTTP", m.get("socket"))
	}
	ms, _ := strconv.ParseInt(m.get("rest"), 10, 64)
	t := p.conns.add(g, conn)
	t.arrive(time.Duration(ms) * time.Millisecond)
	p.conns.total.arrived.Add(1)
	return t, nil
}

// servesPlain finds the gate of an inherited socket, if HTTP without TLS is served on it.
func (p *Process) servesPlain(place string) *gate {
	i, err := strconv.Atoi(place)
	if err != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range p.gates {
		if w := g.web.Load(); g.index == i && w != nil && !w.secure && !g.isClosed() {
			return g
		}
	}
	return nil
}
