package updater

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/moult-go/moult/release"
)

// recover ends the attempt that a process left behind when it died. What to do follows from the phase and
// from what stands at the install path, which is the only truth; nothing is done while the successor of that
// attempt lives, for it will adopt it. The caller holds u.mu and the lock.
//
//	staged, proven           the disk is untouched: the staged version is thrown away
//	handing-over, probation  likewise; after replace-first the previous version is put back
//	committing, committed    the rename has happened: it stays; it has not: thrown away
//	rolling-back             the previous version is put back
//	rolled-back              it was
func (u *Updater) recover() error {
	r := u.state.Attempt
	if u.state.Phase == journalIdle || r == nil {
		return nil
	}
	if r.Process != nil && r.Process.lives() && !r.Process.isSelf() {
		return fail(Busy, "busy", "recover the upgrade to %s: its process %d lives: %w", r.To, r.Process.PID, ErrBusy)
	}
	disk, err := u.diskDigest()
	if err != nil {
		return fail(Failed, "io", "read the installed executable: %w", err)
	}
	phase, a := u.state.Phase, r.Attempt
	replaced := disk == r.Digest && r.Digest != r.FromDigest
	a.Class, a.Reason, a.Outcome = Failed, "interrupted", outcomeInterrupted
	switch phase {
	case journalCommitting, journalCommitted:
		if replaced {
			if err := u.syncPlace(); err != nil {
				return diskError(err, "recover the upgrade to %s", r.To)
			}
			a.Class, a.Reason, a.Outcome = "", "", outcomeCommitted
			if r.Leave == reasonCrashLoop {
				a.Class, a.Reason = Undone, reasonCrashLoop
			}
		}
	case journalHandingOver, journalProbation, journalRollingBack:
		if replaced {
			if err := u.putBack(r); isDamaged(err) {
				u.state.Disk = err.Error() // there is nothing to wait for: this ends, and an operator knows
			} else if err != nil {
				return err
			} else {
				a.Outcome = outcomeRolledBack
			}
		}
		// A build that takes its predecessor along may do so again.
		u.state.blame(build{r.To, r.Digest}, true, maxFirstWait, u.now())
	case journalRolledBack:
		a.Outcome = outcomeRolledBack
	}
	u.log.Warn("recovered an unfinished upgrade", "attempt", a.ID, "phase", string(phase), "from", a.From, "to", a.To, "outcome", a.Outcome)
	return u.conclude(a)
}

func isDamaged(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Reason == "damaged"
}

// Adopt takes the lock over from a predecessor that died while this process was on probation, and returns
// the commit to run at the end of it (nil if there is nothing to commit).
func (u *Updater) Adopt(ctx context.Context) (commit func() error, err error) {
	if err := u.take(ctx); err != nil {
		return nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.open(); err != nil {
		u.letGo()
		return nil, err
	}
	r := u.state.Attempt
	if r != nil && r.Digest == u.running && r.Digest != r.FromDigest {
		if c := u.adopted(r); c != nil {
			return c, nil
		}
	}
	if err := u.recover(); err != nil {
		u.letGo()
		return nil, err
	}
	return nil, nil
}

// adopted returns what is left to do for our own attempt, nil if recovering will do.
func (u *Updater) adopted(r *record) func() error {
	disk, err := u.diskDigest()
	if err != nil {
		return nil
	}
	t := &trial{build: build{r.To, r.Digest}, rec: r, path: filepath.Join(u.dir, filepath.FromSlash(r.Staged))}
	switch {
	case (u.state.Phase == journalHandingOver || u.state.Phase == journalProbation) && r.ReplaceFirst && disk == r.Digest:
		return func() error { return u.adopt(t, func() error { return u.enter(journalCommitted) }) }
	case u.state.Phase == journalHandingOver, u.state.Phase == journalProbation,
		u.state.Phase == journalCommitting && disk == r.FromDigest:
		t.id, err = identifyFile(t.path)
		if err != nil || disk == (release.Digest{}) {
			return nil
		}
		return func() error { return u.adopt(t, func() error { return u.commit(t) }) }
	}
	return nil
}

func (u *Updater) adopt(t *trial, commit func() error) error {
	if err := commit(); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	a := t.rec.Attempt
	a.Outcome = outcomeCommitted
	return u.conclude(a)
}
