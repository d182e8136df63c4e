package updater

import (
	"context"

	"github.com/moult-go/moult/release"
)

// Rollback brings a kept version back ("" for the previous one) the same way, and quarantines the digest it
// leaves, unless r.NoQuarantine. r.Force takes one that is in quarantine, which then is no more. Where the disk holds a build that is not the one that runs, because somebody else put it there and a
// restart with it failed, the previous one is that which runs: its copy, kept since the start, is put back, and
// nothing needs a restart.
func (u *Updater) Rollback(ctx context.Context, r Request) (Outcome, error) {
	end, err := u.begin()
	if err != nil {
		return Outcome{}, err
	}
	defer end()
	k, restore, err := u.goal(r)
	if err != nil {
		return Outcome{}, err
	}
	t, err := u.keptTrial(k)
	if err != nil {
		return Outcome{}, err
	}
	if err := u.newAttempt(t, kindRollback, r.By); err != nil {
		return Outcome{}, err
	}
	if !r.NoQuarantine {
		t.rec.Leave = "rolled back by hand"
	}
	r = t.watch(r)
	if restore {
		return u.finish(ctx, r, t, u.restore(r, t))
	}
	return u.finish(ctx, r, t, u.proveAndApply(ctx, r, t))
}

// keptTrial is a rollback to k, whose copy is whole.
func (u *Updater) keptTrial(k build) (*trial, error) {
	t := &trial{build: k, platform: release.Host(), path: u.versionFile(k)}
	if !digestIsIn(u.root, u.keptFile(k), k.Digest) {
		return nil, fail(Verification, "damaged", "roll back to version %s: the copy at %s is gone or damaged", k.Version, t.path)
	}
	return t, nil
}

// goal chooses the version to go back to, and whether the disk alone has to change.
func (u *Updater) goal(r Request) (k build, restore bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	// What somebody else put there is what we are asked to take away.
	if u.installed, err = identifyFile(u.path); err != nil {
		return k, false, fail(Failed, "io", "read the installed executable: %w", err)
	}
	disk, err := u.diskDigest()
	if err != nil {
		return k, false, fail(Failed, "io", "read the installed executable: %w", err)
	}
	for _, k := range u.state.Kept {
		if k.Digest == disk || r.Version != "" && !sameVersion(k.Version, r.Version) {
			continue
		}
		if q := u.state.quarantined(k.Digest); q != nil && !r.Force {
			if r.Version != "" {
				return build{}, false, fail(Policy, "quarantined", "version %s is in quarantine: %s; --force takes it all the same", k.Version, q.Reason)
			}
			continue
		}
		return build(k), k.Digest == u.running && u.o.Handover != nil, nil
	}
	if r.Version != "" {
		return k, false, fail(Policy, "nothing-kept", "version %s is not kept here", r.Version)
	}
	return k, false, fail(Policy, "nothing-kept", "no earlier version is kept here")
}

// restore puts the version that runs back on the disk.
func (u *Updater) restore(r Request, t *trial) error {
	r.event(Event{Phase: PhaseCommit, Version: t.build.Version})
	id, err := identifyFile(t.path)
	if err != nil {
		return fail(Failed, "io", "restore version %s: %w", t.build.Version, err)
	}
	t.id = id
	return u.commit(t)
}

// RestartFailed records that a handover to what stands at the install path (HUP) failed: the disk holds a build
// that failed. nil clears it.
func (u *Updater) RestartFailed(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.spurn(err)
	disk := ""
	if err != nil {
		disk = "holds a build that failed: " + printable(err.Error(), maxWords)
	}
	if disk == u.state.Disk {
		return
	}
	u.state.Disk = disk
	if !u.held {
		return
	}
	if err := u.save(true); err != nil {
		u.log.Error("record the failed restart", "err", err)
	}
}
