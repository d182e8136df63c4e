package grace

import (
	"context"
	"errors"
	"time"
)

// What only one process may do (a cron, a queue consumer) the application pauses in OnStandby and takes up again in OnResume. Each call
// waits for the one before it, in a goroutine that ends with it: the owner of the state only learns the answers.

// resumePause is the time between two attempts of OnResume.
const resumePause = 250 * time.Millisecond

// standDown calls OnStandby, which has the release timeout. The channel gets its answer.
func (p *Process) standDown() <-chan error { return p.inTurn(p.callStandby) }

// callStandby runs in turn, as what takeBack begins does: so paused needs no lock.
func (p *Process) callStandby() error {
	p.paused = true
	return p.ask(p.o.OnStandby, p.o.ReleaseTimeout)
}

// takeBack calls OnResume if OnStandby was called, until it succeeds or the start timeout is over; before that it waits for gone, if
// that is not nil. The channel gets its answer.
func (p *Process) takeBack(gone <-chan struct{}) <-chan error {
	return p.inTurn(func() error {
		if gone != nil {
			select {
			case <-gone:
			case <-time.After(p.o.StartTimeout):
				return errors.New("the process that was killed is still there")
			}
		}
		if !p.paused {
			return nil
		}
		p.paused = false
		for begun := time.Now(); ; {
			err := p.ask(p.o.OnResume, p.o.StartTimeout)
			if err == nil || time.Since(begun)+resumePause > p.o.StartTimeout {
				return err
			}
			p.log.Error("OnResume: once more", "generation", p.generation, "err", err)
			select {
			case <-time.After(resumePause):
			case <-p.exited: // stopped meanwhile
				return err
			}
		}
	})
}

// inTurn runs f when what was run before it has returned. Only the owner of the state calls it.
func (p *Process) inTurn(f func() error) <-chan error {
	before, done := p.favour, make(chan struct{})
	p.favour = done
	answer := make(chan error, 1)
	go func() {
		defer close(done)
		if before != nil {
			<-before
		}
		answer <- f()
	}()
	return answer
}

func (p *Process) ask(f func(context.Context) error, limit time.Duration) error {
	if f == nil {
		return nil
	}
	_, err := bounded(context.Background(), limit, func(ctx context.Context) (struct{}, error) { return struct{}{}, f(ctx) })
	return err
}

// resumeBeside takes back what OnStandby let go while this process already serves: requests do not wait for it.
func (p *Process) resumeBeside() {
	answer := p.takeBack(nil)
	go func() { // ends with the answer
		if err := <-answer; err != nil {
			p.log.Error("OnResume", "generation", p.generation, "err", err)
		}
	}()
}
