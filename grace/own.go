package grace

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"
)

// A stateFunc lives through one state and returns what comes next; nil ends the process's life.
type stateFunc func() stateFunc

// own is the goroutine that owns the state, from New to the end.
func (p *Process) own() {
	next := p.starting
	for next != nil {
		next = next()
	}
	p.up.closeIfAny()
	p.parent.leave()
	close(p.exited)
}

func (l *link) closeIfAny() {
	if l != nil {
		l.close()
	}
}

// starting waits for readiness.
func (p *Process) starting() stateFunc {
	orphan := false
	var patience <-chan time.Time
	for {
		select {
		case r := <-p.readiness:
			return p.becomeReady(r, orphan)
		case r := <-p.requests:
			r.done <- &BusyError{p.State()}
		case <-patience:
			// Nobody enforces our start timeout any more, nobody serves, and our sockets keep everybody else from it. A
			// supervisor starts the last committed version.
			p.log.Error("not ready, and the predecessor is dead: give up", "generation", p.generation, "after", p.o.StartTimeout)
			os.Exit(1)
		case <-p.hangups:
			p.hangupKept = true
		case <-p.stops:
			p.stopRequested()
			p.up.send(newMessage(msgStopping))
			return p.stopped
		case m, ok := <-p.mail:
			switch {
			case !ok: // the predecessor died: nobody else serves, so we go on
				p.mail, orphan = nil, true
				patience = time.After(p.o.StartTimeout)
			case m.kind == msgStop:
				p.Stop()
			}
		}
	}
}

func (p *Process) becomeReady(r readiness, orphan bool) stateFunc {
	if p.up == nil {
		if err := p.pidFile.write(); err != nil {
			r.done <- fmt.Errorf("declare readiness: %w", err)
			return p.starting
		}
	}
	p.accept(false, true)
	p.tell(Event{Step: StepAccepting, Generation: p.generation, PID: os.Getpid()}, new(time.Time))
	if p.up == nil {
		p.accept(true, true)
		p.set(Serving)
		p.parent.nameServing()
		close(p.active)
		p.announceReady()
		r.done <- nil
		p.log.Info("serving", "generation", p.generation)
		return p.serving
	}
	p.set(Probation)
	if !orphan {
		ready := newMessage(msgReady)
		ready.fields["socket"] = p.claimed()
		if err := p.up.send(ready); err != nil {
			orphan = true
		}
	}
	r.done <- nil
	p.log.Info("serving on probation", "generation", p.generation, "probation", p.probation)
	if orphan {
		return p.orphaned
	}
	return p.onProbation
}

// onProbation serves while the predecessor stands by.
func (p *Process) onProbation() stateFunc {
	for {
		select {
		case m, ok := <-p.mail:
			if !ok {
				p.mail = nil
				return p.orphaned
			}
			switch m.kind {
			case msgHealth:
				go p.vote()
			case msgStop:
				p.Stop()
			case msgCommit:
				return p.confirmed(m)
			}
		case r := <-p.requests:
			r.done <- &BusyError{p.State()}
		case <-p.hangups:
			p.hangupKept = true
		case <-p.stops:
			p.stopRequested()
			p.up.send(newMessage(msgStopping))
			return p.stopped
		}
	}
}

// vote answers the predecessor's question. Health has one interval; the goroutine ends with it.
func (p *Process) vote() {
	ctx, cancel := context.WithTimeout(context.Background(), p.o.HealthInterval)
	defer cancel()
	m := newMessage(msgHealthy)
	if err := p.o.Health(ctx); err != nil {
		m.fields.Set("err", err.Error())
	}
	p.up.send(m)
}

// confirmed is COMMIT: this process is the one from now on.
func (p *Process) confirmed(m message) stateFunc {
	setCrashOutput(nil)
	p.accept(true, true)
	p.forsake()
	p.blobs.forget()
	p.set(Serving)
	p.takeOver()
	if m.get("hangup") != "" {
		p.hangupKept = true
	}
	if err := p.up.send(newMessage(msgAck)); err != nil {
		p.log.Warn("acknowledge the commit", "err", err)
	}
	close(p.active)
	p.log.Info("serving", "generation", p.generation)
	return p.serving
}

// serving is the usual state. At most one HUP is carried out at a time.
func (p *Process) serving() stateFunc {
	if p.hangupKept && p.awaitHangup == nil {
		p.hangupKept = false
		p.hangup()
	}
	select {
	case r := <-p.requests:
		if r.look {
			r.done <- nil
			return p.serving
		}
		return func() stateFunc { return p.handingOver(r) }
	case <-p.hangups:
		p.keepHangup()
	case <-p.awaitHangup:
		p.awaitHangup = nil
		p.endReload()
	case <-p.tickets.due:
		if kept, made := p.tickets.rotate(); made {
			p.log.Info("new session ticket key", "generation", p.generation, "kept", kept)
		}
	case m, ok := <-p.mail:
		p.heard(m, ok)
	case <-p.stops:
		p.stopRequested()
		return p.stopped
	}
	return p.serving
}

// heard takes what a predecessor that drains passes on, in whatever state it finds us.
func (p *Process) heard(m message, ok bool) {
	switch {
	case !ok: // it has drained
		p.mail = nil
		p.forgetOlder()
		p.announceAlone()
	case m.kind == msgFollowed:
		p.manager.hear()
	case m.kind == msgDrain:
		p.heardDrain(m)
	case m.kind == msgHangup:
		p.hangupKept = true
	case m.kind == msgStop:
		p.Stop()
	}
}

// hangup carries out one HUP. Its goroutine asks this one for the handover, and ends with the answer.
func (p *Process) hangup() {
	done := make(chan struct{})
	p.awaitHangup = done
	p.beginReload()
	act := p.o.Hangup
	if act == nil {
		act = func(ctx context.Context) error { return p.Handover(ctx, p.installPath, nil) }
	}
	p.hooks.running.Go(func() {
		defer close(done)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		p.runHooks(PreSignal, syscall.SIGHUP)
		if err := act(ctx); err != nil {
			p.log.Error("hot restart", "generation", p.generation, "path", p.installPath, "err", err)
		}
		p.runHooks(PostSignal, syscall.SIGHUP)
	})
}

// stopRequested notes a stop and reports whether it is the second, more than a second after the first.
func (p *Process) stopRequested() (again bool) {
	if p.firstStop.IsZero() {
		p.firstStop = p.hooks.firstStop()
		return false
	}
	return time.Since(p.firstStop) > time.Second
}
