package server

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

// mostDelay is the longest delay of a drain, and the longest life of a vote.
const mostDelay = 24 * time.Hour

// departure is a stop that an operator has asked for, with time for load balancers to move on before it.
type departure struct {
	mu    sync.Mutex
	at    time.Time // zero: none
	timer *time.Timer
}

func (d *departure) when() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at
}

// plan sets the time of it; nil calls it off. It reports false when it is too late for that.
func (d *departure) plan(delay *time.Duration, stop func()) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		return false
	}
	d.at, d.timer = time.Time{}, nil
	if delay != nil {
		d.at, d.timer = time.Now().Add(*delay), time.AfterFunc(*delay, stop)
	}
	return true
}

// Drain makes /readyz fail, and stops this process later, or takes that back. A handover would lose the plan, so there is none meanwhile.
func (r *runner) Drain(req admin.Drain) (admin.Drained, error) {
	delay := new(time.Duration(req.Delay))
	switch {
	case *delay > mostDelay || req.Undo && *delay > 0:
		return admin.Drained{}, &updater.Error{Class: updater.Usage, Reason: "bad-request", Err: fmt.Errorf("drain: want a delay of at most %s, or undo", mostDelay)}
	case r.p.State() != grace.Serving && *delay > 0:
		return admin.Drained{}, r.busy()
	case req.Undo:
		delay = nil
	}
	if !r.departure.plan(delay, r.p.Stop) {
		return admin.Drained{}, &updater.Error{Class: updater.Failed, Reason: "draining", Err: errors.New("this process has begun to stop")}
	}
	d := admin.Drained{Schema: admin.Schema, PID: os.Getpid(), StopsAt: r.departure.when()}
	if limit := r.drainLimit(); limit >= 0 && !req.Undo {
		d.Deadline = d.StopsAt.Add(limit)
	}
	r.log.Info("a stop was asked for", "generation", r.p.Generation(), "at", d.StopsAt, "undo", req.Undo)
	r.tell(admin.Event{Kind: admin.KindState, State: &admin.StateChange{State: r.p.State().String(), StopsAt: d.StopsAt}})
	return d, nil
}

func (r *runner) drainLimit() time.Duration {
	if r.s.DrainTimeout == 0 {
		return grace.DefaultTimeout
	}
	return r.s.DrainTimeout
}

// mayHandOver refuses a handover when this process is to stop soon: its successor would know nothing of it.
func (r *runner) mayHandOver() error {
	if !r.departure.when().IsZero() {
		return &grace.BusyError{State: grace.Draining}
	}
	return nil
}
