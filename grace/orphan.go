package grace

import (
	"context"
	"os"
	"time"
)

// orphaned is row 8c: the predecessor died before COMMIT. This process serves on, ends its probation by its own
// clock and health, and commits by itself. While it is not well the clock starts again; there is nobody to go back to.
func (p *Process) orphaned() stateFunc {
	setCrashOutput(nil)
	p.accept(true, true)
	p.announceOrphaned()
	p.log.Warn("the predecessor died: serving on", "generation", p.generation, "probation", p.probation)
	p.tell(Event{Step: StepOrphaned, Generation: p.generation, PID: os.Getpid()}, new(time.Time))

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	adopted := make(chan error, 1)
	var commit func() error
	go func() { // ends with the application's answer, which has this context
		var err error
		commit, err = p.o.Orphaned(ctx)
		adopted <- err
	}()
	committed := make(chan error, 1)
	rounds := p.examine(ctx, append(p.webChecks(nil), func(ctx context.Context) error { return p.o.Health(ctx) }))
	end := time.NewTimer(p.probation)
	defer end.Stop()
	h, waiting := health{}, true
	for {
		if !waiting && h.proven() {
			waiting, h.over = true, false
			go func() {
				if commit == nil {
					committed <- nil
					return
				}
				committed <- commit()
			}()
		}
		select {
		case err := <-adopted:
			waiting = false
			if err != nil {
				p.log.Error("take over from the dead predecessor", "err", err)
				commit = nil
			}
		case err := <-rounds:
			if cause, why := h.judge(err); cause != "" {
				p.log.Warn("not well on probation, and nobody to go back to", "err", why)
				h.over = false
				end.Reset(p.probation)
			}
		case <-end.C:
			h.over = true
		case err := <-committed:
			if err != nil {
				p.log.Error("commit without a predecessor", "err", err)
			}
			p.forsake()
			p.blobs.forget()
			p.set(Serving)
			close(p.active)
			p.log.Info("serving", "generation", p.generation)
			return p.serving
		case r := <-p.requests:
			r.done <- &BusyError{p.State()}
		case <-p.hangups:
			p.hangupKept = true
		case <-p.stops:
			p.stopRequested()
			return p.stopped
		}
	}
}
