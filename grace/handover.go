package grace

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// How often the exit flags of a successor are read: on probation, and while we drain.
const (
	watchPeriod = 2 * time.Millisecond
	drainPeriod = 10 * time.Millisecond
)

// mostStarts is how many start timeouts a successor gets in all, however often it asks for more.
const mostStarts = 10

// ackTimeout bounds the wait for the answer to COMMIT.
const ackTimeout = 5 * time.Second

// handingOver is rows 1 and 2: fork-exec, while this process goes on accepting.
func (p *Process) handingOver(r *request) stateFunc {
	p.set(HandingOver)
	return p.launch(r)
}

// launch starts the successor.
func (p *Process) launch(r *request) stateFunc {
	probation := p.o.Probation
	if r.commit != nil {
		probation = p.o.UpdateProbation
	}
	begun := time.Now()
	c, err := p.spawn(r.path, probation)
	if err != nil {
		e := &HandoverError{Cause: CauseExec, Generation: p.generation + 1, Path: r.path, Err: err, NoWayBack: p.barred}
		if p.barred {
			never := make(chan *HandoverError, 1)
			never <- e
			return p.startAgain(r, never)
		}
		p.set(Serving)
		p.dropHangup()
		r.done <- e
		return p.serving
	}
	p.log.Info("handing over", "generation", p.generation, "to", c.generation, "pid", c.pid, "path", c.path)
	c.step = begun
	p.note(StepSpawned, c, nil)
	return func() stateFunc { return p.awaitReady(r, c, probation) }
}

// awaitReady is rows 3 and 4, up to READY.
func (p *Process) awaitReady(r *request, c *child, probation time.Duration) stateFunc {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	dying := c.watch(ctx, watchPeriod)
	begun, patience := time.Now(), time.NewTimer(p.o.StartTimeout)
	defer patience.Stop()
	var over <-chan time.Time // set when it dies: its reason may be on its way
	var released <-chan error
	for {
		select {
		case m, ok := <-c.link.in:
			switch {
			case !ok:
				return p.undo(r, c, CauseExited, nil)
			case m.kind == msgHello && c.wrapped(m):
				return p.undo(r, c, CauseExited, fmt.Errorf("it runs as pid %s below pid %d: a wrapper must exec it", m.get("pid"), c.pid))
			case m.kind == msgHello:
				c.moves, c.version = m.get("moves") != "", m.get("version")
				c.words.greeted()
				p.note(StepGreeted, c, nil)
				p.sendSecrets(c)
				go p.sendState(c, roundStart)
				if p.o.Exclusive {
					patience.Stop() // it waits for us
					released = p.release(ctx, c)
				}
			case m.kind == msgNoWay:
				p.heardNoWay(c)
			case m.kind == msgExtend:
				patience.Reset(min(p.o.StartTimeout, time.Until(begun.Add(mostStarts*p.o.StartTimeout))))
				p.extendReload()
			case m.kind == msgFail:
				cause := CauseExited
				if m.get("cause") == string(CauseIncompatible) {
					cause = CauseIncompatible
				}
				return p.undo(r, c, cause, fmt.Errorf("it gave up: %s", m.get("reason")))
			case m.kind == msgStopping:
				return p.undo(r, c, CauseStopped, errors.New("it was told to stop"))
			case m.kind == msgReady:
				c.readClaims(m)
				return p.standby(r, c, probation)
			}
		case err := <-released:
			if released = nil; err != nil {
				return p.undo(r, c, CauseNotReleased, err)
			}
			patience.Reset(p.o.StartTimeout)
			c.link.send(newMessage(msgReleased))
		case <-dying:
			dying, over = nil, time.After(lastReason) // we still serve: there is time
		case <-over:
			return p.undo(r, c, CauseExited, nil)
		case <-patience.C:
			return p.undo(r, c, CauseTimeout, fmt.Errorf("not ready within %s", time.Since(begun).Round(100*time.Millisecond)))
		case <-r.ctx.Done():
			return p.undo(r, c, CauseCanceled, r.ctx.Err())
		case <-p.stops:
			p.stopRequested()
			c.kill()
			r.done <- c.bury(CauseStopped, errors.New("this process was told to stop"))
			return p.stopped
		case <-p.hangups:
			p.keepHangup()
		case o := <-p.requests:
			o.done <- &BusyError{p.State()}
		case m, ok := <-p.mail:
			p.heard(m, ok)
		}
	}
}

// standby is rows 5 to 7: the successor serves on probation, this process watches it.
func (p *Process) standby(r *request, c *child, probation time.Duration) stateFunc {
	p.parkFor(c)
	p.set(Standby)
	p.up.send(newMessage(msgAway))
	p.note(StepStandby, c, nil)
	p.log.Info("standing by", "generation", p.generation, "to", c.generation, "pid", c.pid, "probation", probation)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	dying := c.watch(ctx, watchPeriod)
	votes := make(chan message, 1)
	rounds := p.examine(ctx, append(p.webChecks(c), linkCheck(c, votes), p.witness))
	half, end := time.NewTimer(probation/2), time.NewTimer(probation)
	defer half.Stop()
	defer end.Stop()
	patient, beside := health{}, false
	p.barred = p.barred || c.noWay
	var letGo <-chan error
	if p.released { // it has let go before, and serves nobody
		p.note(StepMoving, c, nil)
		p.beginMoves(c)
		p.moveHeld()
		if !c.moves {
			p.lift()
		}
	} else {
		letGo = p.standDown()
		go p.sendState(c, roundStandby)
	}
	for {
		if patient.over = patient.over || p.barred; letGo == nil && patient.proven() {
			return p.committing(r, c)
		}
		select {
		case m, ok := <-c.link.in:
			switch {
			case !ok:
				return p.undo(r, c, CauseCrashed, nil)
			case m.kind == msgHealthy:
				select {
				case votes <- m:
				default: // a late vote of an earlier round
				}
			case m.kind == msgNoWay:
				p.heardNoWay(c)
			case m.kind == msgStopping:
				return p.stopBoth(r, c)
			}
		case err := <-letGo:
			if letGo = nil; err != nil {
				return p.undo(r, c, CauseNotReleased, fmt.Errorf("OnStandby: %w", err))
			}
		case <-dying:
			if c.saidStopping() {
				return p.stopBoth(r, c)
			}
			return p.undo(r, c, CauseCrashed, nil)
		case <-c.words.crash:
			// It stands still while it prints its goroutines, a quarter of a second for ten thousand of them, and dies only then. Accept beside
			// it; what is said is for people, and may come from a program that it has started before HELLO.
			if beside = p.o.OnStandby == nil && !p.released && !p.barred; beside {
				p.accept(false, true)
				p.log.Warn("the successor may be dying: accepting beside it", "generation", p.generation, "to", c.generation, "pid", c.pid)
			}
		case err := <-rounds:
			if err == nil && beside {
				beside = false
				p.parkFor(c)
			}
			c.mover.resting.Store(err != nil && !p.released) // who has let go cannot serve them meanwhile
			if cause, why := patient.judge(err); cause != "" {
				return p.undo(r, c, cause, why)
			}
		case <-half.C:
			if p.released {
				break
			}
			p.note(StepMoving, c, nil)
			p.beginMoves(c)
			p.takeLeave()
		case <-end.C:
			patient.over = true
		case <-r.ctx.Done():
			if p.barred {
				r.ctx = context.Background() // there is nobody to go back to
				break
			}
			return p.undo(r, c, CauseCanceled, r.ctx.Err())
		case <-p.stops:
			p.stopRequested()
			c.link.send(newMessage(msgStop))
			return p.stopBoth(r, c)
		case <-p.hangups:
			p.keepHangup()
		case o := <-p.requests:
			o.done <- &BusyError{p.State()}
		case m, ok := <-p.mail:
			p.heard(m, ok)
		}
	}
}

// parkFor stops accepting on the sockets that the successor has claimed. What it has not, stays ours until COMMIT.
func (p *Process) parkFor(c *child) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range p.gates {
		if c.claimed[g.offered] && !g.socket.Held {
			g.park()
		}
	}
}

// stopBoth ends a standby because a stop was asked for, here or there. It is no verdict on the successor.
func (p *Process) stopBoth(r *request, c *child) stateFunc {
	c.finished = true
	p.child = c
	r.done <- &HandoverError{Cause: CauseStopped, Generation: c.generation, PID: c.pid, Path: c.path,
		Err: errors.New("a stop was asked for during probation")}
	return p.stopped
}

// undo is row 8b: serve again at once, then find out why.
func (p *Process) undo(r *request, c *child, cause Cause, why error) stateFunc {
	switch {
	case p.barred && cause == CauseStopped:
		return p.stopBoth(r, c)
	case p.barred:
		return p.undoBarred(r, c, cause, why)
	}
	c.kill()
	p.polite.Store(false) // before the moves end: what cannot move says Connection: close, and stays here for good now
	p.endMoves(c)
	if p.released {
		return p.reclaim(c, func(err error) stateFunc {
			if err != nil {
				go func() { // ends with the burial
					e := c.bury(cause, why)
					e.Err = fmt.Errorf("%w; and this process cannot serve: %w", e.Err, err)
					r.done <- e
				}()
				return p.fail(err)
			}
			return p.undone(r, c, cause, why)
		})
	}
	return p.undone(r, c, cause, why)
}

// undone is the rest of row 8b: the gate opens.
func (p *Process) undone(r *request, c *child, cause Cause, why error) stateFunc {
	p.lift()
	p.accept(false, true)
	p.accept(true, true)
	if p.State() == Standby {
		p.up.send(newMessage(msgBack))
	}
	p.set(Serving)
	p.resumeBeside()
	p.log.Warn("serving again", "generation", p.generation, "to", c.generation, "pid", c.pid, "cause", string(cause))
	p.dropHangup()
	p.note(StepRolledBack, c, why)
	go func() { // ends with the burial, which has a limit
		e := c.bury(cause, why)
		e.NoWayBack = c.noWay
		p.log.Error("handover undone", "generation", p.generation, "to", e.Generation, "pid", e.PID, "cause", string(cause), "err", e.Err)
		r.done <- e
	}()
	return p.serving
}

// committing is row 8a up to the acknowledgement. Stops wait until it is over. From the moment the commit has succeeded there is no way back:
// a successor that dies is started again from the install path (row 8d).
func (p *Process) committing(r *request, c *child) stateFunc {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	dying := c.watch(ctx, watchPeriod)
	result := make(chan error, 1)
	if r.commit == nil {
		result <- nil
	} else {
		go func() { result <- r.commit() }()
	}
	var late <-chan time.Time // set when COMMIT is sent
	mail, dead := c.link.in, false
	for {
		select {
		case err := <-result:
			switch {
			case c.finished && err != nil:
				p.log.Error("commit", "generation", c.generation, "pid", c.pid, "err", err)
				return p.stopBoth(r, c)
			case c.finished:
				return p.stopCommitted(r, c)
			case err != nil && p.barred && !dead: // it serves, and must
				p.log.Error("commit, with no way back: the successor serves on without", "generation", p.generation, "to", c.generation, "err", err)
				r.verdict = &HandoverError{Cause: CauseCommit, Generation: c.generation, PID: c.pid, Path: c.path, NoWayBack: true, Err: err}
			case err != nil && dead:
				return p.undo(r, c, CauseCrashed, nil)
			case err != nil:
				return p.undo(r, c, CauseCommit, err)
			}
			p.accept(true, false) // the held sockets go over with COMMIT
			late = time.After(ackTimeout)
			if dead || c.link.send(p.commitMessage(c)) != nil {
				return p.lost(r, c)
			}
		case m, ok := <-mail:
			switch {
			case !ok && late != nil:
				return p.lost(r, c)
			case !ok:
				mail = nil // the commit is under way: its result decides
			case m.kind == msgNoWay:
				p.heardNoWay(c)
			case m.kind == msgAck:
				return p.replaced(r, c)
			case m.kind == msgStopping && late != nil: // COMMIT came too late for it
				return p.stopCommitted(r, c)
			case m.kind == msgStopping:
				c.finished = true
			}
		case <-dying:
			c.finished = c.finished || c.saidStopping()
			switch {
			case late != nil && c.finished:
				return p.stopCommitted(r, c)
			case late != nil:
				return p.lost(r, c)
			}
			dying, dead = nil, true
			if !c.finished && !p.barred && !p.released {
				p.accept(false, true)
			}
		case <-late:
			return p.lost(r, c)
		case <-p.hangups:
			p.keepHangup()
		case o := <-p.requests:
			o.done <- &BusyError{p.State()}
		}
	}
}

func (p *Process) commitMessage(c *child) message {
	m := newMessage(msgCommit)
	if p.hangupKept {
		p.hangupKept = false
		c.hungUp = true
		m.fields.Set("hangup", "1")
	}
	return m
}

// replaced is the end of row 8a: the successor is the one, this process drains.
func (p *Process) replaced(r *request, c *child) stateFunc {
	p.accept(false, false)
	p.letGo(c) // what the successor has not claimed is not served any more
	p.announceReplaced(c, c.hungUp || p.hangupKept)
	p.log.Info("handed over", "generation", p.generation, "to", c.generation, "pid", c.pid)
	p.note(StepCommitted, c, nil)
	p.child, p.starts = c, 0
	r.done <- r.verdict
	if p.hangupKept {
		p.hangupKept = false
		c.link.send(newMessage(msgHangup))
	}
	select {
	case <-p.stops: // asked for while this process was the service
		p.hooks.owed.Store(false)
		p.stopRequested()
		c.link.send(newMessage(msgStop))
		c.finished = true
	default:
	}
	return p.drainReplaced
}

// stopCommitted ends this process after a commit during which the successor was told to stop: with it goes the service.
func (p *Process) stopCommitted(r *request, c *child) stateFunc {
	p.note(StepCommitted, c, nil)
	c.finished = true
	p.child = c
	r.done <- r.verdict
	return p.stopped
}

// lost is a successor that died, or fell silent, between a commit that cannot be taken back and its
// acknowledgement: row 8d at once.
func (p *Process) lost(r *request, c *child) stateFunc {
	c.kill()
	p.note(StepCommitted, c, nil)
	p.child = c
	r.done <- r.verdict
	p.set(Draining)
	return p.resurrect
}
