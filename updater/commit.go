package updater

import (
	"context"
	"errors"
	"fmt"
)

// apply makes the proven version the one that runs, and the one at the install path: in the order that keeps
// the path at the last committed version, unless the order is replace-first or there is nothing to restart.
func (u *Updater) apply(ctx context.Context, r Request, t *trial) error {
	version := t.build.Version
	if u.o.Handover == nil {
		r.event(Event{Phase: PhaseCommit, Version: version})
		return u.commit(t)
	}
	if err := u.enter(journalHandingOver); err != nil {
		return err
	}
	path, commit := t.path, func() error { return u.commit(t) }
	if u.o.ReplaceFirst {
		if err := u.replaceNow(t); err != nil {
			return errors.Join(err, u.undo(t))
		}
		path, commit = u.path, func() error { return u.enter(journalCommitted) }
	}
	r.event(Event{Phase: PhaseHandover, Version: version})
	err := u.o.Handover.Handover(ctx, path, func() error {
		r.event(Event{Phase: PhaseCommit, Version: version})
		t.broken = commit()
		return t.broken
	})
	if err == nil {
		return nil
	}
	e := describeHandover(err)
	if broken := (*Error)(nil); errors.As(t.broken, &broken) {
		e.Reason = broken.Reason
	}
	if back := u.undo(t); back != nil {
		e.Err = fmt.Errorf("%w; and the previous version could not be put back: %w", e.Err, back)
	}
	return e
}

// commit replaces the installed executable for good. The install path names a whole file in every instant.
func (u *Updater) commit(t *trial) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.unchanged(t); err != nil {
		return err
	}
	if u.state.Phase != journalCommitting { // a predecessor that died may have come so far
		if err := u.advance(journalCommitting); err != nil {
			return err
		}
	}
	err := u.replaceInstalled(t)
	if err == nil {
		err = u.advance(journalCommitted)
	}
	if err != nil && t.onDisk {
		err = errors.Join(err, u.putBackOf(t))
	}
	if err != nil {
		return err
	}
	u.current = t.build
	return nil
}

// replaceNow is the replacement of replace-first: the journal stays at handing-over, whose recovery puts the
// previous version back.
func (u *Updater) replaceNow(t *trial) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.unchanged(t); err != nil {
		return err
	}
	if err := u.replaceInstalled(t); err != nil {
		return err
	}
	u.current = t.build
	return nil
}

// unchanged checks that the file to commit is the one that was proven and executed, to the last byte, and
// that nobody has replaced the installed one meanwhile.
func (u *Updater) unchanged(t *trial) error {
	id, err := identifyFile(t.path)
	if err != nil {
		return fail(Failed, "io", "commit version %s: %w", t.build.Version, err)
	}
	if err := u.inPlace(); err != nil {
		return err
	}
	if id != t.id || !digestIs(t.path, t.build.Digest) {
		return fail(Verification, "digest-mismatch", "commit version %s: %s is not the file that was proven", t.build.Version, t.path)
	}
	if p := t.rec.Process; p != nil {
		// Where the image cannot be read, or the process has ended, whoever watches it decides.
		if fi, err := u.image(p.PID); err == nil {
			if runs := identify(fi); runs.dev != id.dev || runs.ino != id.ino {
				return fail(Verification, "wrong-image", "commit version %s: process %d executes another file than %s", t.build.Version, p.PID, t.path)
			}
		}
	}
	return u.stillInstalled()
}

// replaceInstalled gives the installed version a name to come back to and renames the new one over it.
func (u *Updater) replaceInstalled(t *trial) error {
	if err := u.keep(build{t.rec.From, t.rec.FromDigest}); err != nil {
		return err
	}
	file, err := u.below(t.path)
	if err != nil {
		return fail(Failed, "io", "replace %s: %w", u.path, err)
	}
	place, err := u.place()
	if err != nil {
		return diskError(err, "replace %s", u.path)
	}
	defer place.Close()
	u.step("replace")
	if err := replace(u.root, file, place, u.name); err != nil {
		return diskError(err, "replace %s", u.path)
	}
	t.onDisk = true
	u.step("replaced")
	id, err := identifyFile(u.path)
	if err == nil && id != t.id {
		t.onDisk = false // that is theirs, and nothing is put over it
		return fail(Failed, "replaced-by-someone-else", "%s was replaced by someone else at the same moment", u.path)
	}
	if err == nil {
		u.installed = id
		err = syncDir(place, ".")
	}
	if err != nil {
		return diskError(err, "replace %s", u.path)
	}
	return nil
}

// syncPlace makes durable what the install path names.
func (u *Updater) syncPlace() error {
	place, err := u.place()
	if err != nil {
		return err
	}
	defer place.Close()
	return syncDir(place, ".")
}

// undo puts the previous version back if the attempt had changed the disk.
func (u *Updater) undo(t *trial) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !t.onDisk {
		return nil
	}
	return u.putBackOf(t)
}

func (u *Updater) putBackOf(t *trial) error {
	err := u.stillInstalled()
	if err == nil {
		err = u.putBack(t.rec)
	}
	if err != nil {
		u.state.Disk = "the previous version could not be put back: " + err.Error()
		return err
	}
	t.onDisk = false
	return nil
}

// putBack makes the install path stand for the version before the attempt r again. The caller holds u.mu.
func (u *Updater) putBack(r *record) error {
	from := build{r.From, r.FromDigest}
	file := u.keptFile(from)
	if !digestIsIn(u.root, file, from.Digest) {
		return fail(Verification, "damaged", "put version %s back: the copy at %s is gone or damaged", from.Version, u.versionFile(from))
	}
	if u.state.Phase != journalRollingBack {
		if err := u.advance(journalRollingBack); err != nil {
			return err
		}
	}
	u.step("put back")
	place, err := u.place()
	if err == nil {
		err = putOver(u.root, file, place, u.name)
		place.Close()
	}
	if err != nil {
		return diskError(err, "put version %s back", from.Version)
	}
	id, err := identifyFile(u.path)
	if err != nil {
		return fail(Failed, "io", "put version %s back: %w", from.Version, err)
	}
	u.installed, u.current = id, from
	return u.advance(journalRolledBack)
}
