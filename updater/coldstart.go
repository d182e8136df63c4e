package updater

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync/atomic"

	"github.com/moult-go/moult/grace/role"
)

// coldStarts is the watch over a build that an update has committed, and that nobody has started cold since: the handover proved that
// it serves as a successor, but not that it finds its way from nothing. It ends with the first such start that goes well.
type coldStarts struct {
	Kept
	Back *Kept     `json:"back,omitempty"` // the version before; nil: there is no way back any more
	Open []process `json:"open,omitempty"` // starts that have neither gone well nor been stopped on request
}

// mostDead is how many cold starts of a build may die, in one boot of the machine, before the previous version is put back.
const mostDead = 3

// counted is set when this process has counted its start.
var counted atomic.Bool

// ColdStart counts the start of a server that no predecessor hands over to, if it runs a build that an update has committed, until one cold
// start of that went well. Call it before anything that can fail: before flags and configuration are read. The count is durable when it
// returns; [Updater.StartedWell], [Updater.StopAsked] or the next boot of the machine take it back.
//
// If three starts have died, the version before the update is put back and the build quarantined, and ColdStart does not return: it executes
// that version, with the same arguments and environment, in this very process. It does so once for an update: if that version dies as
// well, it is left where it is, and log and status say so. Nothing of this keeps a server from starting: what goes wrong is logged. An
// error means that the previous version is back and could not be executed here: end, and be started again.
//
// A program that ends because something far away does not answer dies like any other: better wait for that than end.
//
// A process that has counted already, or that has a role (package grace/role), is not counted. Of o only Name, Version, StateDir,
// InstallPath and Logger matter.
func ColdStart(o Options) error {
	if role.Current() != role.None || counted.Swap(true) {
		return nil
	}
	o.Source, o.Handover, o.Module = nil, nil, "-"
	u, err := New(o)
	if err != nil {
		return nil // whoever wants to update will hear of it
	}
	defer u.root.Close()
	back, err := u.countStart()
	if err != nil {
		u.log.Error("count this start", "err", err)
	}
	if !back {
		return nil
	}
	u.log.Warn("starting the previous version", "path", u.path)
	return &Error{Undone, "crash-loop", execute(u.path, os.Args, os.Environ())}
}

// countStart reports whether another version than that of this process stands at the install path now.
func (u *Updater) countStart() (back bool, err error) {
	// Most starts are over with this: one small file is read.
	if s, err := u.readState(); err != nil || s.Cold == nil {
		return false, nil
	}
	end, err := u.begin()
	if errors.Is(err, ErrBusy) {
		return false, nil // another instance lives
	}
	if err != nil {
		return false, err
	}
	defer end()
	u.mu.Lock()
	c := u.state.Cold
	if c == nil || c.Digest != u.running {
		u.mu.Unlock()
		return false, nil
	}
	if c.died() < mostDead {
		defer u.mu.Unlock()
		c.Open = append(c.Open, lookUp(os.Getpid()))
		return false, u.save(true)
	}
	u.mu.Unlock()
	if c.Back == nil {
		return false, u.shout(c)
	}
	u.log.Error("this version died at its last cold starts: the previous one is put back", "starts", mostDead, "version", c.Version, "to", c.Back.Version)
	if err := u.fallBack(build(*c.Back)); err != nil {
		return false, err
	}
	return true, nil
}

// died counts the starts of this boot whose process is gone, and forgets those of other boots: when the machine goes down, that says nothing about a build.
func (c *coldStarts) died() (n int) {
	boot := bootID()
	c.Open = slices.DeleteFunc(c.Open, func(p process) bool { return p.Boot != boot })
	for _, p := range c.Open {
		if !p.lives() {
			n++
		}
	}
	return n
}

// fallBack puts k back for good, in the steps of a rollback.
func (u *Updater) fallBack(k build) error {
	t, err := u.keptTrial(k)
	if err != nil {
		return err
	}
	if err := u.newAttempt(t, kindRollback, nil); err != nil {
		return err
	}
	t.rec.Leave = reasonCrashLoop
	_, err = u.finish(context.Background(), Request{}, t, u.restore(Request{}, t))
	return err
}

// shout says that there is nothing left to try.
func (u *Updater) shout(c *coldStarts) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	words := "version " + c.Version + " died at its last cold starts, and there is no earlier one to put back by itself: " +
		"nothing is changed any more; `rollback VERSION` or a newer version may help"
	u.log.Error("crash loop", "version", c.Version, "err", words)
	if u.state.Disk == words {
		return nil
	}
	u.state.Disk = words
	return u.save(true)
}

// StartedWell ends the watch over the build that runs: its cold start went well. It needs the lock.
func (u *Updater) StartedWell() error {
	return u.withCold(func(c *coldStarts) bool {
		if c.Back == nil {
			u.state.Disk = ""
		}
		u.state.Cold = nil
		return true
	})
}

// StopAsked says that this process ends because it was asked to, or was replaced: its start is no failure. Without the lock
// it takes it for as long as it needs it.
func (u *Updater) StopAsked() error {
	return u.withCold(func(c *coldStarts) bool {
		before := len(c.Open)
		c.Open = slices.DeleteFunc(c.Open, func(p process) bool {
			return p.isSelf() || role.Current() == role.FirstGeneration && p.PID == os.Getppid()
		})
		return len(c.Open) != before
	})
}

// NoWayBack says that the build that runs has changed something that the version before cannot read: it is not put back by itself any more. It is
// durable when it returns. Before the commit it belongs to the attempt under way. Without the lock it takes it for as long as it needs it.
func (u *Updater) NoWayBack() error {
	u.mu.Lock()
	if u.held && u.state.Attempt != nil {
		defer u.mu.Unlock()
		u.state.Attempt.NoWayBack = true
		return u.save(true)
	}
	u.mu.Unlock()
	return u.withCold(func(c *coldStarts) bool {
		c.Back = nil
		return true
	})
}

// withCold changes the watch over the build that runs, if there is one.
func (u *Updater) withCold(change func(*coldStarts) bool) error {
	u.mu.Lock()
	held := u.held
	if held {
		defer u.mu.Unlock()
		return u.changeCold(change)
	}
	u.mu.Unlock()
	if s, err := u.readState(); err == nil && s.Cold == nil {
		return nil
	}
	end, err := u.begin()
	if err != nil {
		return err
	}
	defer end()
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.changeCold(change)
}

func (u *Updater) changeCold(change func(*coldStarts) bool) error {
	if c := u.state.Cold; c == nil || c.Digest != u.running || !change(c) {
		return nil
	}
	return u.save(true)
}

// coldAfter is the watch that begins when the attempt r is committed.
func (s *state) coldAfter(r *record) *coldStarts {
	c := &coldStarts{Kept: Kept{r.To, r.Digest}}
	switch {
	case r.Kind == kindRollback && r.Leave == reasonCrashLoop:
		return c // and no further back
	case r.Kind == kindRollback:
		return nil // a person has chosen it
	case !r.NoWayBack && slices.ContainsFunc(s.Kept, func(k Kept) bool { return k.Digest == r.FromDigest }):
		c.Back = &Kept{r.From, r.FromDigest}
	}
	return c
}
