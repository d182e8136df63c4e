package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/updater"
)

// Restart starts what stands at the install path, as HUP does, and returns when the probation of that is over.
func (r *runner) Restart(ctx context.Context, events func(updater.Event)) (updater.Outcome, error) {
	select {
	case r.slot <- struct{}{}:
	default:
		return updater.Outcome{}, r.busy()
	}
	defer func() { <-r.slot }()
	if r.p.State() != grace.Serving {
		return updater.Outcome{}, r.busy()
	}
	return r.attend(events, func(a *attempt) (updater.Outcome, error) {
		if err := r.restart(context.WithoutCancel(ctx), a.tell); err != nil {
			return updater.Outcome{}, r.restartFailure(err)
		}
		out := updater.Outcome{From: r.s.Version, To: a.successor(), Restarted: true}
		out.Changed = out.To != out.From
		return out, nil
	})
}

// hangup is what HUP and USR2 do, and follow.
func (r *runner) hangup(ctx context.Context) error {
	<-r.assembled
	return r.restart(ctx, func(updater.Event) {})
}

// restart starts what stands at the install path. It is proven first, and not verified.
func (r *runner) restart(ctx context.Context, tell func(updater.Event)) error {
	err := r.mayHandOver()
	if err == nil && r.u != nil {
		tell(updater.Event{Phase: updater.PhaseProve})
		err = r.u.ProveInstalled(ctx)
	}
	if err == nil {
		tell(updater.Event{Phase: updater.PhaseHandover})
		err = r.p.Handover(ctx, r.p.InstallPath(), nil)
	}
	if errors.Is(err, grace.ErrBusy) || isStop(err) {
		return err // says nothing about the file
	}
	r.mu.Lock()
	r.restartError = ""
	if err != nil {
		r.restartError = err.Error()
	}
	r.mu.Unlock()
	if r.u != nil {
		r.u.RestartFailed(err)
	}
	return err
}

func isStop(err error) bool {
	var e *grace.HandoverError
	return errors.As(err, &e) && !e.Verdict()
}

// restartFailure gives a failed handover the class and the reason that it has in an upgrade.
func (r *runner) restartFailure(err error) error {
	var e *grace.HandoverError
	if !errors.As(err, &e) {
		return err
	}
	if !e.Verdict() {
		return &updater.Error{Class: updater.Failed, Reason: "interrupted", Err: err}
	}
	f := &updater.Error{Class: updater.Failed, Reason: e.Reason(),
		Err: &advice{err, fmt.Sprintf("what stands at its path failed; to put the version back that serves: %s rollback", r.s.Name)}}
	if e.Undone() {
		f.Class = updater.Undone
	}
	return f
}

// advice is an error that knows what to do next.
type advice struct {
	error
	hint string
}

// Hint says it.
func (a *advice) Hint() string  { return a.hint }
func (a *advice) Unwrap() error { return a.error }
