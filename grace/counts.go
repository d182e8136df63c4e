package grace

import (
	"net"
	"sync/atomic"
)

// Counts are numbers of connections of one process.
type Counts struct {
	Open     int // now
	Hijacked int // of those: taken over by a handler, as for a WebSocket

	// The rest count from the start of the process.
	Accepted uint64 // from the kernel
	Arrived  uint64 // from the predecessor
	Moved    uint64 // to the successor
	Drained  uint64 // ended, by us or the client, when this process was on its way out and owed nothing
	Cut      uint64 // closed by us at the drain deadline, at a second stop, or since too many generations drained
}

type counters struct{ accepted, arrived, moved, drained, cut atomic.Uint64 }

// Counts returns the numbers of connections that came in through this Process's listeners.
func (p *Process) Counts() Counts {
	c := p.conns
	return Counts{
		Open:     c.count(),
		Hijacked: len(c.list(func(t *tracked) bool { return phase(t.phase.Load()) == phaseHijacked })),
		Accepted: c.total.accepted.Load(),
		Arrived:  c.total.arrived.Load(),
		Moved:    c.total.moved.Load(),
		Drained:  c.total.drained.Load(),
		Cut:      c.total.cut.Load(),
	}
}

// Connections counts the open connections that came in through this Process's listeners.
func (p *Process) Connections() int { return p.conns.count() }

// announceDrain calls OnDrain for every connection that neither moves nor is told to go by an answer.
func (p *Process) announceDrain() {
	for _, t := range p.conns.list(func(t *tracked) bool { return phase(t.phase.Load()) == phaseHijacked || t.gate.web.Load() == nil }) {
		p.announceTo(t)
	}
}

func (p *Process) announceTo(t *tracked) {
	conn := t.wrap()
	if outer := t.hijacked.Load(); outer != nil {
		conn = *outer
	}
	go p.o.OnDrain(conn) // ends with the connection, at the drain deadline
}

// tookOver notes a connection that a handler has taken for itself: conn is what it got.
func (p *Process) tookOver(t *tracked, conn net.Conn) {
	t.hijacked.Store(&conn)
	t.enter(phaseHijacked)
	if p.guarded(t) {
		p.turnstile.leave() // it is no request any more
	}
	if p.State() == Draining {
		p.announceTo(t)
	}
}
