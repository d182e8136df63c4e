package grace

import "time"

// A hold keeps idle HTTP/1 connections from being read: the next request stays in the kernel, where the successor finds it when the
// connection has moved. Connections that cannot move (TLS, HTTP/2) are read on, and their requests wait in the turnstile.
type hold struct {
	moves  chan struct{} // closed when the successor takes connections
	lifted chan struct{} // closed when this process reads again
}

// holdPace is the time between two attempts to move a connection that is held.
const holdPace = 10 * time.Millisecond

// holdIdle begins it.
func (p *Process) holdIdle() {
	if p.conns.hold.Load() == nil {
		p.conns.hold.Store(&hold{moves: make(chan struct{}), lifted: make(chan struct{})})
	}
}

// moveHeld lets the connections that are held go to the successor. The mover is there already.
func (p *Process) moveHeld() {
	if h := p.conns.hold.Load(); h != nil {
		select {
		case <-h.moves:
		default:
			close(h.moves)
		}
	}
}

// lift ends it.
func (p *Process) lift() {
	if h := p.conns.hold.Swap(nil); h != nil {
		close(h.lifted)
	}
}

// await waits at h, with nothing of the connection in this process, and reports whether it has moved. The caller holds moves.mu, which is
// free meanwhile. The time does not count as silence of the client.
func (t *tracked) await(h *hold) (moved bool) {
	m := &t.moves
	m.held = true
	begun, deadline := time.Now(), m.deadline
	defer func() {
		m.held = false
		t.conn.SetReadDeadline(m.deadline)
	}()
	var pace <-chan time.Time
	moves := h.moves
	for {
		lifted := false
		m.mu.Unlock()
		select {
		case <-moves:
			moves = nil
		case <-pace:
		case <-h.lifted:
			lifted = true
		}
		m.mu.Lock()
		if !deadline.IsZero() {
			m.deadline = deadline.Add(time.Since(begun))
		}
		if lifted {
			return false
		}
		if mv := t.all.mover.Load(); mv != nil && (t.move(mv) || m.refused == mv) {
			return m.moved
		}
		pace = time.After(holdPace)
	}
}

// restless reports whether a plain HTTP/1 connection may still bring a request into this process, or has one there.
func (t *tracked) restless() bool {
	if t.gate.web.Load() == nil || t.gate.socket.Held {
		return false
	}
	m := &t.moves
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.plain && !m.barred && t.wanted() && !m.held && !m.moved
}

// onItsWay reports whether net/http, which serves on the gate, has not been given the connection yet.
func (t *tracked) onItsWay() bool {
	return t.gate.web.Load() != nil && phase(t.phase.Load()) == phaseRaw
}
