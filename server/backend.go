package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

// Status is the document that the command line, the API and the page show.
func (r *runner) Status() admin.Status {
	st := admin.Status{
		Schema: admin.Schema, App: r.s.Name, Version: r.s.Version, Instance: r.place.id, Admin: r.place.sock,
		Generation: r.p.Generation(), PID: os.Getpid(), State: r.p.State().String(), Since: r.since,
		Listen: r.addresses(), Ops: addressesOf(r.ops), Connections: r.p.Connections(), Settings: r.s.Settings,
	}
	st.Draining = r.draining()
	st.Updates, st.Updater = r.updates()
	r.passage.fill(&st, r.probation)
	r.mu.Lock()
	defer r.mu.Unlock()
	st.RestartError, st.StopsAt = r.restartError, r.departure.when()
	return st
}

// updates says whether this server updates itself, and what its updater says, if there is one.
func (r *runner) updates() (admin.Updates, *updater.Status) {
	up := admin.Updates{Reason: r.offReason()}
	if r.u == nil {
		return up, nil
	}
	us, err := r.u.Status()
	if err != nil {
		return admin.Updates{Reason: err.Error()}, nil
	}
	if up.Reason == "" {
		up.On, up.Reason = us.Automatic, us.Reason
	}
	return up, &us
}

// draining are the older generations.
func (r *runner) draining() (list []admin.Draining) {
	for _, g := range r.p.Older() {
		list = append(list, admin.Draining{
			Generation: g.Number, PID: g.PID, Since: g.Since, Connections: g.Connections, Hijacked: g.Hijacked, Deadline: g.Deadline})
	}
	return list
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
	case r.slot <- struct{}{}:
	default:
		return updater.Outcome{}, r.busy()
	}
	defer func() { <-r.slot }()
	if !r.mayChange(ctx) {
		return updater.Outcome{}, r.busy()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !r.resurrected.Load() {
		defer r.whenDraining(cancel)()
	}
	change := r.u.Upgrade
	if rollback {
		change = r.u.Rollback
	}
	return r.attend(events, func(a *attempt) (updater.Outcome, error) { return change(ctx, request(req, a.tell)) })
}

// Hold keeps updates from being applied; nil lets them go on.
func (r *runner) Hold(ctx context.Context, h *updater.Hold) error {
	return r.edit(ctx, func() error {
		if h == nil {
			return r.u.Unhold()
		}
		return r.u.Hold(*h)
	})
}

// Unquarantine lets builds be tried again.
func (r *runner) Unquarantine(ctx context.Context, which string) (cleared []updater.Quarantined, err error) {
	err = r.edit(ctx, func() error {
		cleared, err = r.u.Unquarantine(which)
		return err
	})
	return cleared, err
}

// History lists the attempts that have ended.
func (r *runner) History() ([]updater.Attempt, error) {
	if r.u == nil {
		return nil, r.updatingOff()
	}
	return r.u.History()
}

// edit runs what changes the state file and nothing else. An attempt under way is not in its way.
func (r *runner) edit(ctx context.Context, change func() error) error {
	if r.u == nil {
		return r.updatingOff()
	}
	r.awaitLock(ctx)
	err := change()
	if classOf(err) == updater.Busy {
		return r.busy()
	}
	return err
}

// mayChange waits for the update lock, which a predecessor gives up a moment after the commit. A process that serves
// again after it had begun to drain holds none; the updater takes it for as long as the change lasts.
func (r *runner) mayChange(ctx context.Context) bool {
	if r.p.State() != grace.Serving {
		return false
	}
	if r.resurrected.Load() {
		return true
	}
	r.awaitLock(ctx)
	return r.holds()
}

// awaitLock waits until it is known whether this process gets the update lock.
func (r *runner) awaitLock(ctx context.Context) {
	select {
	case <-r.settled:
	case <-ctx.Done():
	case <-time.After(lockPatience):
	}
}

func request(req admin.Request, events func(updater.Event)) updater.Request {
	return updater.Request{Version: req.Version, Force: req.Force, Patient: req.Patient, NoQuarantine: req.NoQuarantine, File: req.File,
		Manual: true, Events: events, By: req.By}
}

func classOf(err error) updater.Class {
	var e *updater.Error
	if errors.As(err, &e) {
		return e.Class
	}
	return ""
}

// busy says what is in the way: another handover, an attempt that was asked for, another instance, or an attempt
// of the update loop.
func (r *runner) busy() error {
	f := &admin.Failure{Class: updater.Busy, Reason: "busy"}
	a, off := r.attempt.Load(), r.offReason()
	if st := r.p.State(); st != grace.Serving {
		f.Phase = st.String()
	} else if !r.departure.when().IsZero() {
		f.Reason, f.Phase = "stopping", "a stop was asked for"
	} else if a != nil && a.latest().Phase != "" { // else it is the one that was refused
		f.Phase = string(a.latest().Phase)
	} else if off == offLock || off == offStarting {
		f.Reason, f.Phase = "locked", off
	} else if r.u != nil {
		if us, err := r.u.Status(); err == nil {
			f.Phase = us.Phase
		}
	}
	f.Message = fmt.Sprintf("%v (%s)", updater.ErrBusy, f.Phase)
	return f
}

// updatingOff says why there is no updater: where a package manager has put the executable there is often no place for one.
func (r *runner) updatingOff() error {
	if classOf(r.unusable) == updater.Permission && !r.s.IgnorePackageManager {
		if err := updater.PackageOwned(context.Background(), r.p.InstallPath()); err != nil {
			return err
		}
	}
	return fmt.Errorf("this server does not update itself: %w", r.unusable)
}
