package grace

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// A version that has migrated something makes its predecessor useless: that one must not serve what it cannot read. So once such a successor has been
// ready, this process is barred: it keeps the sockets, and the clients in their queues, and starts a successor again and again, but
// never serves.

// Between two starts by a barred process: doubled each time, up to the longest. When none of mostAgain gets ready, this process
// ends with an error, so that a supervisor knows.
const (
	againPause   = 100 * time.Millisecond
	againLongest = 5 * time.Second
	mostAgain    = 6
)

// noWayPatience bounds the wait for the answer to NOWAY.
const noWayPatience = 5 * time.Second

// NoWayBack tells the predecessor that this version is about to change something that the predecessor cannot read any more (a
// migration), and returns when it knows. Before Ready, the predecessor still serves if this process dies. From Ready on it never
// does: it commits after one good round of health, without the rest of probation, and if this process dies it starts it again. An
// error means that the predecessor lives and does not know: do not migrate. In generation 1, and when the predecessor is dead or has
// drained, there is nobody to tell.
func (p *Process) NoWayBack(ctx context.Context) error {
	if p.up == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, noWayPatience)
	defer cancel()
	if err := p.up.send(newMessage(msgNoWay)); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("say that there is no way back: %w", err)
	}
	select {
	case <-p.noWayHeard:
		return nil
	case <-p.bereft:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("say that there is no way back: the predecessor does not answer: %w", ctx.Err())
	}
}

// heardNoWay notes it, and says so.
func (p *Process) heardNoWay(c *child) {
	if !c.noWay {
		p.log.Warn("the successor says that there is no way back", "generation", p.generation, "to", c.generation, "pid", c.pid)
		p.note(StepNoWayBack, c, nil)
	}
	c.noWay = true
	p.barred = p.barred || p.State() != HandingOver
	c.link.send(newMessage(msgNoWay))
}

// undoBarred is the end of a successor of a process that must not serve: the same handover begins again, and cannot be canceled any more.
func (p *Process) undoBarred(r *request, c *child, cause Cause, why error) stateFunc {
	c.kill()
	p.endMoves(c)
	buried := make(chan *HandoverError, 1)
	go func() { // ends with the burial, which has a limit
		e := c.bury(cause, why)
		e.NoWayBack = true
		buried <- e
	}()
	return p.startAgain(&request{ctx: context.Background(), path: r.path, commit: r.commit, done: r.done}, buried)
}

// startAgain is what a barred process does instead of serving, when the one before is gone.
func (p *Process) startAgain(r *request, buried <-chan *HandoverError) stateFunc {
	if p.State() != HandingOver {
		p.set(HandingOver)
	}
	var pause <-chan time.Time
	for {
		select {
		case e := <-buried:
			p.log.Error("no way back: start the successor again", "generation", p.generation, "path", r.path,
				"attempt", p.starts+1, "cause", string(e.Cause), "err", e.Err, "last_words", e.LastWords)
			if p.starts++; p.starts > mostAgain {
				r.done <- e
				return p.fail(fmt.Errorf("no successor after %d starts: %w", mostAgain, e))
			}
			pause = time.After(min(againPause<<(p.starts-1), againLongest))
		case <-pause:
			return p.launch(r)
		case <-p.stops:
			p.stopRequested()
			r.done <- &HandoverError{Cause: CauseStopped, Path: r.path, NoWayBack: true, Err: errors.New("a stop was asked for")}
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

// fail ends this process with an error from Wait: its supervisor is to start it anew.
func (p *Process) fail(err error) stateFunc {
	if !errors.Is(err, errStopAsked) {
		p.log.Error("give up", "generation", p.generation, "err", err)
		p.failure = fmt.Errorf("give up generation %d: %w", p.generation, err)
	}
	p.child = nil
	if p.State() == Draining {
		return p.exit(true)
	}
	return p.stopped
}
