package server

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

// Status is the document that the command line, the API and the page show.
func (r *runner) Status() admin.Status {
	st := admin.Status{
		Schema: admin.Schema, App: r.s.Name, Version: r.s.Version, Instance: r.place.id,
		Generation: r.p.Generation(), PID: os.Getpid(), State: r.p.State().String(), Since: r.since,
		Listen: r.addresses(), Connections: r.p.Connections(),
	}
	r.mu.Lock()
	st.Updates.Reason, st.RestartError = r.off, r.restartError
	r.mu.Unlock()
	if r.u == nil {
		return st
	}
	us, err := r.u.Status()
	if err != nil {
		st.Updates.Reason = err.Error()
		return st
	}
	st.Updater = &us
	if st.Updates.Reason == "" && !us.Automatic {
		st.Updates.Reason = us.Reason
	}
	st.Updates.On = st.Updates.Reason == "" && us.Automatic
	return st
}

// Check looks for something newer.
func (r *runner) Check(ctx context.Context, req admin.Request) (admin.Check, error) {
	if r.u == nil {
		return admin.Check{}, r.updatingOff()
	}
	found, err := r.u.Check(ctx, request(req, nil))
	if err != nil {
		return admin.Check{}, err
	}
	return admin.NewCheck(r.s.Name, found), nil
}

// Change runs an upgrade or a rollback, one at a time.
func (r *runner) Change(ctx context.Context, rollback bool, req admin.Request, events func(updater.Event)) (updater.Outcome, error) {
	if r.u == nil {
		return updater.Outcome{}, r.updatingOff()
	}
	select {
	case r.attempt <- struct{}{}:
	default:
		return updater.Outcome{}, r.busy()
	}
	defer func() { <-r.attempt }()
	if r.p.State() != grace.Serving || !r.holds() {
		return updater.Outcome{}, r.busy()
	}
	defer r.phase.Store("")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer r.whenDraining(cancel)()
	change := r.u.Upgrade
	if rollback {
		change = r.u.Rollback
	}
	out, err := change(ctx, request(req, func(e updater.Event) {
		r.phase.Store(string(e.Phase))
		events(e)
	}))
	if errors.Is(err, updater.ErrBusy) || classOf(err) == updater.Busy {
		return out, r.busy()
	}
	return out, err
}

func request(req admin.Request, events func(updater.Event)) updater.Request {
	return updater.Request{Version: req.Version, Force: req.Force, Manual: true, Events: events}
}

func classOf(err error) updater.Class {
	var e *updater.Error
	if errors.As(err, &e) {
		return e.Class
	}
	return ""
}

// busy says what is in the way: an attempt that was asked for, one of the loop's own, another handover, or
// another instance.
func (r *runner) busy() error {
	f := &admin.Failure{Class: updater.Busy, Reason: "busy"}
	f.Phase, _ = r.phase.Load().(string)
	if st := r.p.State(); st != grace.Serving {
		f.Phase = st.String()
	} else if off := r.offReason(); off == offLock || off == offStarting {
		f.Reason, f.Phase = "locked", off
	} else if f.Phase == "" {
		if us, err := r.u.Status(); err == nil {
			f.Phase = us.Phase
		}
	}
	f.Message = fmt.Sprintf("%v (%s)", updater.ErrBusy, f.Phase)
	return f
}

// updatingOff says why there is no updater.
func (r *runner) updatingOff() error {
	reason := r.offReason()
	if reason == offNoSource {
		return &updater.Error{Class: updater.Policy, Reason: "no-source", Err: errors.New("this server does not update itself: " + reason)}
	}
	return &updater.Error{Class: updater.Permission, Reason: "updating-off", Err: errors.New("this server does not update itself: " + reason)}
}
