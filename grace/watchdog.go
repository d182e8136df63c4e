package grace

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errHung is a sign of life that did not come in time.
var errHung = errors.New("no answer in time")

// pingWatchdog pings the manager (WatchdogSec=) twice in each of its intervals, as long as this process is the one that it follows,
// the goroutine that owns the state answers, and Health says well. It ends with the process's life.
func (p *Process) pingWatchdog() {
	if p.manager == nil || p.manager.watchdog == 0 {
		return
	}
	interval := p.manager.watchdog
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	well := true
	var opinion chan error // of a Health that was asked and has not answered yet
	for {
		select {
		case <-tick.C:
		case <-p.exited:
			return
		}
		if !p.manager.followsUs() || p.State() == Starting {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), interval/4)
		err := p.answers(ctx)
		if err == nil && p.State() != Draining { // one that drains may well say that it is not ready
			opinion, err = p.askHealth(ctx, opinion)
		}
		cancel()
		switch {
		case err == nil:
			p.manager.tell("WATCHDOG=1")
		case well:
			p.log.Error("no ping to the service manager's watchdog", "generation", p.generation, "err", err)
		}
		well = err == nil
	}
}

// answers is nil when the goroutine that owns the state takes a request in time: any answer is a sign of life.
func (p *Process) answers(ctx context.Context) error {
	r := &request{ctx: ctx, look: true, done: make(chan error, 1)}
	select {
	case p.requests <- r:
		return nil
	case <-p.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the owner of the state: %w", errHung)
	}
}

// askHealth asks the application, whose answer may never come: at most one question is open.
func (p *Process) askHealth(ctx context.Context, open chan error) (still chan error, err error) {
	if open == nil {
		open = make(chan error, 1)
		go func() { // ends with the application's answer
			ctx, cancel := context.WithTimeout(context.Background(), p.manager.watchdog/4)
			defer cancel()
			open <- p.o.Health(ctx)
		}()
	}
	select {
	case err := <-open:
		return nil, err
	case <-ctx.Done():
		return open, fmt.Errorf("health: %w", errHung)
	}
}
