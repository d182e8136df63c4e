package grace

import (
	"context"
	"os"
	"strconv"
	"time"
)

// lameDuck is how long a process that was told to stop goes on answering on idle connections, with
// Connection: close, before it closes them.
const lameDuck = 500 * time.Millisecond

// lastStand bounds the wait for a successor that stops with us, after the drain deadline or a second stop.
const lastStand = 5 * time.Second

// drainReplaced finishes what was accepted, while the successor serves. Nothing is closed that may yet carry a request, until
// the deadline; and the sockets stay open, parked, in case the successor dies (row 8d).
func (p *Process) drainReplaced() stateFunc {
	c := p.child
	p.beginMoves(c)
	p.relieved.Store(true)
	p.beginDrain()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	dying := c.watch(ctx, drainPeriod)
	mail := c.link.in
	deadline, stop := p.drainDeadline()
	defer stop()
	late, stop := after(p.o.DrainTimeout / 2)
	defer stop()
	since, report := time.Now(), time.NewTicker(reportPeriod)
	defer report.Stop()
	p.introduceOlder(c, since)
	var duck <-chan time.Time // set when the service as a whole stops
	// The predecessor may send us its last connections, if it still drains, too; and through us the youngest hears of it.
	for over := false; p.conns.count() > 0 || p.mail != nil && !over || p.hooks.owed.Load(); {
		select {
		case <-p.conns.changed: // count again
		case <-late:
			c.mover.late.Store(true)
		case <-duck:
			p.conns.closeQuiet()
		case <-deadline:
			over = true
			p.cutAll("drain deadline: close what is left")
		case <-report.C:
			c.link.send(p.drainReport(since))
		case m, ok := <-mail:
			switch {
			case !ok:
				mail = nil // dying tells
			case m.kind == msgStopping: // and it waits for us
				c.finished = true
				p.endMoves(c)
				p.endGates(false) // nobody shall wait in our queue until we have drained
				p.up.send(m)
				duck = time.After(lameDuck)
			case m.kind == msgAway:
				c.finished = true
			case m.kind == msgBack:
				c.finished = false
			case m.kind == msgCut && m.get("generation") == strconv.Itoa(p.generation):
				over = true
				p.cutAll("too many generations drain: close what is left")
			case m.kind == msgCut:
				p.up.send(m)
			case m.kind == msgNoWay:
				p.heardNoWay(c)
			}
		case <-dying:
			if !c.finished {
				return p.resurrect
			}
			dying = nil
			c.mover.late.Store(true) // nobody is left to move to
			p.endGates(false)        // we never accept again: nobody shall wait in our queue until we have drained
		case <-p.stops:
			if p.hooks.owed.Swap(false) { // asked for while this process was the service: its hooks took so long
				c.link.send(newMessage(msgStop))
				c.finished = true
			}
			if p.stopRequested() {
				over = true
				p.cutAll("second stop: close everything")
			}
			p.conns.closeQuiet()
		case <-p.hangups:
			p.lateHangup(c)
		case r := <-p.requests:
			r.done <- &BusyError{p.State()}
		case m, ok := <-p.mail:
			if m.kind == msgDrain {
				c.link.send(m)
				break
			}
			p.heard(m, ok)
		}
	}
	select {
	case <-p.hangups:
		p.lateHangup(c)
	default:
	}
	gone := p.drainReport(since)
	gone.fields.Set("gone", "1")
	c.link.send(gone)
	next := p.exit(false)
	p.sendState(c, roundEnd)
	return next
}

// lateHangup is a HUP to a process that was replaced. A parent that stays may not have known yet who serves; anybody else sent it to
// the wrong process.
func (p *Process) lateHangup(c *child) {
	if p.parent != nil {
		c.link.send(newMessage(msgHangup))
		return
	}
	p.log.Info("HUP ignored: this process was replaced", "generation", p.generation, "successor", c.pid)
}

// stopped drains and ends the service: TERM, INT, Stop, or the other generation said so.
func (p *Process) stopped() stateFunc {
	// A successor that is stopped before COMMIT leaves the files of Unix sockets to its predecessor, as long as that lives.
	early := p.State() == Starting || p.State() == Probation
	p.endMoves(p.child)
	lastOwner := p.mail == nil || !early
	p.beginDrain()
	p.announceStop()
	// A predecessor that drains ends before us: as soon as the main process is gone, a service manager kills what is left.
	older := p.mail != nil && !early
	if older {
		p.up.send(newMessage(msgStopping))
	}
	p.endGates(lastOwner)
	deadline, stop := p.drainDeadline()
	defer stop()
	duck := time.After(lameDuck)
	var gone <-chan struct{} // the successor, which is to end before us
	if p.child != nil {
		gone = p.child.gone
	}
	var last <-chan time.Time
	closing := false
	for p.conns.count() > 0 || gone != nil || older {
		select {
		case <-p.conns.changed:
			if closing {
				p.conns.closeQuiet()
			}
		case <-duck:
			closing = true
			p.conns.closeQuiet()
		case <-gone:
			gone = nil
		case <-last: // it hangs, and would hold the sockets of the next start
			p.log.Warn("the successor does not stop: kill it", "pid", p.child.pid)
			p.child.kill()
			gone = nil
		case <-deadline:
			if gone != nil {
				last = time.After(lastStand)
			}
			older = false
			p.cutAll("drain deadline: close what is left")
		case m := <-p.mail:
			if m.kind == msgStop && p.stopRequested() {
				p.cutAll("second stop: close everything")
			}
			if m.kind == "" || m.kind == msgFollowed {
				p.manager.hear()
			}
			if m.kind == "" {
				p.mail, older = nil, false
			}
		case <-p.stops:
			if p.stopRequested() {
				older = false
				if gone != nil && last == nil {
					p.child.link.send(newMessage(msgStop))
					last = time.After(lastStand)
				}
				p.cutAll("second stop: close everything")
			}
		case <-p.hangups:
		case r := <-p.requests:
			r.done <- &BusyError{p.State()}
		}
	}
	return p.exit(lastOwner)
}

func (p *Process) cutAll(why string) {
	n := p.conns.cut()
	p.log.Warn(why, "generation", p.generation, "connections", n)
}

// takeLeave tells every connection that this process is on its way out: HTTP/1 with its next answer, HTTP/2 now.
func (p *Process) takeLeave() {
	if !p.polite.Swap(true) {
		p.farewellTo(p.conns.http2())
	}
}

// quiet reports whether no answer is owed on an HTTP connection.
func quiet(ph phase) bool { return ph == phaseIdle || ph == phaseNew }

func (p *Process) beginDrain() {
	p.set(Draining)
	if p.released {
		p.turnstile.refuse() // somebody else serves, or nobody
	}
	p.takeLeave()
	p.hangupKept = false
	select {
	case <-p.draining: // once before, and resurrected since
	default:
		close(p.draining)
	}
	p.announceDrain()
	p.log.Info("draining", "generation", p.generation, "connections", p.conns.count())
}

func (p *Process) drainDeadline() (<-chan time.Time, func()) { return after(p.o.DrainTimeout) }

// after returns a timer's channel, which never delivers when d is negative: there is no deadline then.
func after(d time.Duration) (<-chan time.Time, func()) {
	if d < 0 {
		return nil, func() {}
	}
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}

func (p *Process) exit(lastOwner bool) stateFunc {
	p.endMoves(p.child)
	p.lift()
	p.dismiss() // before Accept ends, and the program perhaps with it
	p.endGates(lastOwner)
	p.set(Exited)
	last := new(time.Time)
	if p.child != nil {
		last = &p.child.step
	}
	p.tell(Event{Step: StepDrained, Generation: p.generation, PID: os.Getpid()}, last)
	c := p.Counts()
	p.log.Info("drained", "generation", p.generation, "moved", c.Moved, "drained", c.Drained, "cut", c.Cut)
	return nil
}

// resurrect is row 8d: the successor died after COMMIT while we drain. Serve at once, and start what stands
// at the install path.
func (p *Process) resurrect() stateFunc {
	c := p.child
	p.child = nil
	if p.barred {
		r := &request{path: p.installPath, done: make(chan error, 1)} // whoever asked has his answer
		return p.undoBarred(r, c, CauseCrashed, nil)
	}
	p.polite.Store(false) // before the moves end, as in undo
	p.endMoves(c)
	if p.released {
		return p.reclaim(c, func(err error) stateFunc {
			if err != nil {
				return p.fail(err)
			}
			return p.resurrected(c)
		})
	}
	return p.resurrected(c)
}

// resurrected is the rest of row 8d: the gate opens, and the install path is started.
func (p *Process) resurrected(c *child) stateFunc {
	p.relieved.Store(false)
	p.lift()
	p.accept(false, true)
	p.accept(true, true)
	p.set(Serving)
	p.resumeBeside()
	p.up.send(newMessage(msgBack))
	p.note(StepResurrected, c, nil)
	p.log.Error("the successor died after the commit: serving again", "generation", p.generation, "pid", c.pid)
	go func() { // ends with the burial, then with the handover
		e := c.bury(CauseCrashed, nil)
		p.log.Error("the successor died after the commit", "pid", c.pid, "err", e.Err, "last_words", e.LastWords)
		if err := p.Handover(context.Background(), p.installPath, nil); err != nil {
			p.log.Error("start the install path again", "path", p.installPath, "err", err)
			p.endLeft()
		}
	}()
	return p.serving
}
