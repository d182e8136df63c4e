package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

const (
	// lockPatience is how long a predecessor may take to let the update lock go.
	lockPatience = 10 * time.Second
	// lockRetry is when a server asks again whether the instance that updates is gone.
	lockRetry = time.Minute
)

const (
	offStarting = "this process is not the only generation yet"
	offLock     = "another instance holds the update lock, and this one follows it"
	offDraining = "this process drains"
)

// openUpdater makes the updater: without a Source it still knows how to go back. What is wrong with it is no reason
// not to serve.
func (r *runner) openUpdater(open func(updater.Options) (engine, error)) {
	u, err := open(updater.Options{
		Name: r.s.Name, Version: r.s.Version, Source: r.s.Source,
		Channel: r.s.Channel, Constraint: r.s.Constraint, Windows: r.s.Windows, Interval: r.s.Interval,
		Disabled: r.s.Disabled, IgnorePackageManager: r.s.IgnorePackageManager,
		InstallPath: r.p.InstallPath(), StateDir: r.s.StateDir,
		Handover: handoverOf(handover{r.p, r.mayHandOver, r.ledger.committing}), Logger: r.log, ReplaceFirst: r.s.ReplaceFirst,
		KeepVersions: r.s.KeepVersions, KeepBytes: r.s.KeepBytes,
		FollowInstalled: r.s.FollowInstalled,
		Progress:        r.tellProgress, Ended: r.tellEnd,
	})
	if err != nil {
		r.log.Error("updating is off", "version", r.s.Version, "err", err)
		r.setOff(err.Error())
		r.unusable = err
		return
	}
	r.u = u
	r.setOff(offStarting)
}

// whenDraining calls f once this process drains, unless stop is called before.
func (r *runner) whenDraining(f func()) (stop func()) {
	stopped := make(chan struct{})
	go func() { // ends with stop
		select {
		case <-r.p.Draining():
			f()
		case <-stopped:
		}
	}()
	return func() { close(stopped) }
}

func (r *runner) setOff(reason string) {
	r.mu.Lock()
	same := r.off == reason
	r.off = reason
	r.mu.Unlock()
	if !same {
		up, _ := r.updates()
		r.tell(admin.Event{Kind: admin.KindUpdates, Updates: &up})
	}
}

func (r *runner) offReason() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.off
}

// handover is grace's, for the updater.
type handover struct {
	p          process
	may        func() error
	committing func() // is told when probation is over
}

// Handover ignores the end of ctx: it ends when this process drains, which is how a handover succeeds, and
// a stop during one is grace's to decide.
func (h handover) Handover(ctx context.Context, path string, commit func() error) error {
	if err := h.may(); err != nil {
		return err
	}
	if replace := commit; replace != nil {
		commit = func() error { h.committing(); return replace() }
	}
	return h.p.Handover(context.WithoutCancel(ctx), path, commit)
}

// whenActive is what only one process of a line may do: answer on the admin socket, hold the update lock and update, or follow the instance
// that does. It ends when this process drains, and with the lock given up.
func (r *runner) whenActive(ctx context.Context) {
	select {
	case <-r.p.Active():
	case <-r.p.Draining():
		return
	case <-ctx.Done():
		return
	}
	r.announce()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer r.whenDraining(cancel)()
	var following sync.WaitGroup
	defer following.Wait()
	if r.p.Generation() > 1 {
		r.ledger.active()
		r.tellState()
		following.Go(func() { r.watchOlder(ctx.Done()) })
	}
	if r.u == nil {
		<-ctx.Done()
		return
	}
	following.Go(func() { r.follow(ctx) })
	if r.lock(ctx) {
		r.setOff("")
		if err := r.u.Announce(r.place.sock); err != nil {
			r.log.Error("name the admin socket in the state file", "err", err)
		}
		watched := make(chan struct{})
		go func() { // ends with ctx
			defer close(watched)
			r.watchStart(ctx)
		}()
		defer func() { <-watched }()
		if r.s.Source != nil {
			r.log.Info("updating", "generation", r.p.Generation(), "version", r.s.Version, "source", r.s.Source.String())
		}
		if err := r.u.Run(ctx); err != nil && ctx.Err() == nil {
			r.log.Error("updating is off", "version", r.s.Version, "err", err)
			r.setOff(err.Error())
		}
		<-ctx.Done()
	}
	following.Wait()
	r.slot <- struct{}{} // waits for the attempt under way; none begins any more
	r.setOff(offDraining)
	r.stopAsked()
	r.unlock()
}

// follow hands over to what somebody else puts at the install path, as HUP does: the update of another instance, or a package manager's.
func (r *runner) follow(ctx context.Context) {
	for r.u.Replaced(ctx) == nil {
		r.log.Info("the installed executable was replaced: restarting", "version", r.s.Version, "path", r.p.InstallPath())
		if err := r.hangup(context.WithoutCancel(ctx)); err != nil {
			r.log.Error("serving on: the restart failed", "version", r.s.Version, "path", r.p.InstallPath(), "err", err)
		}
	}
}

// lock takes the update lock, however long it takes: the predecessor lets go soon, another instance at its end.
func (r *runner) lock(ctx context.Context) bool {
	for said := false; ; {
		if r.holds() { // an orphan took it over on probation
			r.settle.Do(func() { close(r.settled) })
			return ctx.Err() == nil
		}
		err := r.tryLock(ctx)
		r.settle.Do(func() { close(r.settled) })
		switch {
		case err == nil:
			return true
		case ctx.Err() != nil:
			return false
		case errors.Is(err, updater.ErrBusy) && !said:
			r.log.Info("following the instance that holds the update lock", "version", r.s.Version)
			r.setOff(offLock)
			said = true
		case !errors.Is(err, updater.ErrBusy):
			r.log.Error("updating is off", "version", r.s.Version, "err", err)
			r.setOff(err.Error())
			<-ctx.Done()
			return false
		}
		select {
		case <-time.After(r.lockRetry):
		case <-ctx.Done():
			return false
		}
	}
}

func (r *runner) tryLock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	if err := r.u.Lock(ctx); err != nil {
		return err
	}
	r.setLocked(true)
	return nil
}

func (r *runner) holds() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.locked
}

func (r *runner) setLocked(held bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.locked = held
}

func (r *runner) unlock() {
	if !r.holds() {
		return
	}
	r.setLocked(false)
	if err := r.u.Unlock(); err != nil {
		r.log.Error("give up the update lock", "err", err)
	}
}

// orphaned is a successor's: its predecessor died before COMMIT.
func (r *runner) orphaned(ctx context.Context) (func() error, error) {
	<-r.assembled
	if r.u == nil {
		return nil, nil
	}
	commit, err := r.u.Adopt(ctx)
	if err == nil {
		r.setLocked(true)
	}
	return commit, err
}
