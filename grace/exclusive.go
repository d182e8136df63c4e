package grace

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"
)

// An Exclusive process has something that only one process can hold. It lets go before its successor's New returns, and takes it back
// before it serves again: at no time do both serve, and meanwhile the clients wait, in the kernel's queues or in ours.

// settleTime is how long a connection may need to reach net/http through a listener of the application's around ours, which does not tell.
// headerTime is how long the rest of a header may be on its way, or a connection on ours to net/http where the processors are busy: nobody is
// served meanwhile, so a client that sends slowly, or never, must not decide it.
const (
	settleTime = 50 * time.Millisecond
	headerTime = time.Second
)

// release parks this process, waits for the requests under way, and calls OnStandby. The channel gets the result; with ctx it gives up
// waiting for requests.
func (p *Process) release(ctx context.Context, c *child) <-chan error {
	if p.released { // for a successor that has died, and there was no way back
		done := make(chan error, 1)
		done <- nil
		return done
	}
	p.released = true
	p.note(StepReleasing, c, nil)
	p.accept(false, false)
	p.holdIdle()
	p.takeLeave() // HTTP/2 clients go and wait elsewhere
	return p.inTurn(func() error {
		if err := p.quiesce(ctx); err != nil {
			return err
		}
		p.sendState(c, roundStandby)
		return p.callStandby()
	})
}

// quiesce waits until no request is under way. First those on plain HTTP/1 connections end and the connections are held, so that none of
// their next requests is read here; then the turnstile is shut for all others.
func (p *Process) quiesce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.o.ReleaseTimeout)
	defer cancel()
	begun, tick := time.Now(), time.NewTicker(movePace)
	defer tick.Stop()
	for {
		young := time.Since(begun) < settleTime
		busy := p.conns.list(func(t *tracked) bool {
			return t.restless() || t.onItsWay() && (young || !t.gate.hidden.Load())
		})
		if len(busy) == 0 || time.Since(begun) > min(headerTime, p.o.ReleaseTimeout/2) { // who is slower waits with the others
			break
		}
		for _, t := range busy {
			t.kick()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for requests under way: %w", context.Cause(ctx))
		}
	}
	select {
	case <-p.turnstile.shut():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("requests under way did not end within %s: %w", p.o.ReleaseTimeout, context.Cause(ctx))
	}
}

// errStopAsked is why a process that was to serve again does not.
var errStopAsked = errors.New("a stop was asked for")

// reclaim waits until the successor is gone, and what it held with it, calls OnResume, and then goes on with next, which gets an error if
// this process cannot serve.
func (p *Process) reclaim(c *child, next func(error) stateFunc) stateFunc {
	answer := p.takeBack(c.gone)
	for {
		select {
		case err := <-answer:
			if err == nil {
				p.released = false
				p.turnstile.open()
			}
			return next(err)
		case <-p.stops:
			p.stopRequested()
			return next(errStopAsked)
		case <-p.hangups: // of a handover that is undone, none is kept
		case o := <-p.requests:
			o.done <- &BusyError{p.State()}
		case m, ok := <-p.mail:
			p.heard(m, ok)
		}
	}
}

// awaitRelease waits, in a successor, until an Exclusive predecessor has let go, or is dead.
func (p *Process) awaitRelease() error {
	if !p.mustWait {
		return nil
	}
	select {
	case <-p.freed:
	case <-p.bereft:
		p.awaitDeath()
	case <-p.exited:
		return fmt.Errorf("grace: stopped while the predecessor was letting go")
	}
	return nil
}

// deathTime bounds the wait for the end of a process that has closed the link.
const deathTime = 10 * time.Second

// awaitDeath waits until the predecessor is gone: a dying process closes its files one after the other, and the link may come
// before what we wait for. Until it has closed them all, it is our parent.
func (p *Process) awaitDeath() {
	for end := time.Now().Add(deathTime); os.Getppid() == p.predecessor && time.Now().Before(end); {
		time.Sleep(time.Millisecond) // between two looks
	}
}

// admit lets a request of an Exclusive process in, or answers it.
func (h *politeHandler) admit(w http.ResponseWriter, r *http.Request) bool {
	if h.p.turnstile.enter(r.Context()) {
		return true
	}
	w.Header().Set("Retry-After", "1")
	w.Header().Set("Connection", "close")
	http.Error(w, "this server was replaced while the request waited", http.StatusServiceUnavailable)
	return false
}

// guarded reports whether requests on a connection pass the turnstile: not those on Held sockets, which stay with this process.
func (p *Process) guarded(t *tracked) bool {
	return p.turnstile != nil && (t == nil || !t.gate.socket.Held)
}

// dismissed ends the stay of a request, unless its connection was hijacked, when it ended.
func (p *Process) dismissed(t *tracked) {
	if t == nil || phase(t.phase.Load()) != phaseHijacked {
		p.turnstile.leave()
	}
}
