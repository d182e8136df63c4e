package server

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/moult-go/moult/updater"
)

// defaultWell is how long a cold start must do well, where Service.UpdateProbation says nothing.
const defaultWell = time.Minute

// ColdStart is the very first thing that a program does which is about to call Run: before it reads flags and configuration. After an update whose
// starts die it puts the previous version back and does not return, see updater.ColdStart; Run calls it too, if nobody has. An
// error means that the program is to end.
func ColdStart(s Service) error {
	s, err := s.filled()
	if err != nil {
		return nil // Run will say so
	}
	return updater.ColdStart(updater.Options{Name: s.Name, Version: s.Version, StateDir: s.StateDir, Logger: s.Logger})
}

// watchStart says that the cold start of this process went well, once it has served for as long as an update is watched, and is well. ctx ends
// when this process drains.
func (r *runner) watchStart(ctx context.Context) {
	if r.p.Generation() != 1 {
		return
	}
	wait := r.s.UpdateProbation
	if wait == 0 {
		wait = defaultWell
	}
	for {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		if r.vote(ctx) == nil {
			break
		}
		wait = r.s.HealthInterval
	}
	if err := r.u.StartedWell(); err != nil {
		r.log.Error("note that this start went well", "err", err)
	}
}

// stopAsked says that this process does not end by itself.
func (r *runner) stopAsked() {
	if r.u == nil || r.p.Generation() != 1 || r.broken.Load() {
		return
	}
	r.ending.Do(func() {
		if err := r.u.StopAsked(); err != nil && !errors.Is(err, updater.ErrBusy) {
			r.log.Error("note that this process was asked to end", "err", err)
		}
	})
}

// blameless reports that a start failed for a reason that no version of the program could help.
func (r *runner) blameless(err error) bool {
	select {
	case <-r.p.Draining(): // a stop was asked for
		return true
	default:
		return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, errFiles) || errors.Is(err, context.Canceled)
	}
}

// ofRun finds the server in the context that Service.Start is given.
type ofRun struct{}

// ErrNoRun says that a context is not that of Service.Start.
var ErrNoRun = errors.New("not the context of Service.Start")

// NoWayBack says that this version is about to change something that the version before cannot read any more, a migration: from then on none
// is put back by itself, neither by a predecessor that stands by (see grace.Process.NoWayBack) nor after starts that die, and the disk knows. Start
// calls it with the context that it was given, before the change. After an error: do not migrate.
func NoWayBack(ctx context.Context) error {
	r, ok := ctx.Value(ofRun{}).(*runner)
	if !ok {
		return ErrNoRun
	}
	if err := r.p.NoWayBack(ctx); err != nil {
		return err
	}
	if r.u == nil {
		return nil
	}
	if err := r.u.NoWayBack(); err != nil && !errors.Is(err, updater.ErrBusy) { // a predecessor that holds the lock has written it down
		return err
	}
	return nil
}
