package updater

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// Lock takes the update lock and recovers what a previous process left unfinished. It waits for a holder
// that is about to let go until ctx ends, then returns ErrBusy; likewise while the successor of an
// unfinished attempt still lives. From here on the installed executable has a second name, in the state
// directory: the copy to come back to when somebody else replaces it by a build that fails.
func (u *Updater) Lock(ctx context.Context) error {
	for {
		if err := u.take(ctx); err != nil {
			return err
		}
		err := u.settle()
		if !errors.Is(err, ErrBusy) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(lockPoll):
		}
	}
}

// settle brings the state directory to rest, or gives the lock back.
func (u *Updater) settle() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	err := u.open()
	if err == nil {
		err = u.recover()
	}
	if err == nil {
		err = u.keepRunning()
	}
	if err != nil {
		u.letGo()
		return err
	}
	u.sweep()
	return nil
}

// lockPoll is how often a held lock is tried again.
const lockPoll = 20 * time.Millisecond

// take waits for the lock itself. A context that has ended makes one try.
func (u *Updater) take(ctx context.Context) error {
	u.mu.Lock()
	held := u.held
	u.mu.Unlock()
	if held {
		return fail(Busy, "busy", "lock %s: held by this process: %w", u.dir, ErrBusy)
	}
	for {
		ok, err := u.flock.TryLock()
		if err != nil {
			return fail(Permission, "state-dir", "lock %s: %w", u.flock.Path(), err)
		}
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fail(Busy, "busy", "lock %s: %w", u.dir, ErrBusy)
		case <-time.After(lockPoll):
		}
	}
}

// open reads the journal, and what stands at the install path: a predecessor may just have replaced it.
func (u *Updater) open() error {
	if err := u.loadState(); err != nil {
		return err
	}
	u.held = true
	id, err := identifyFile(u.path)
	if err != nil {
		return fail(Failed, "io", "read the installed executable: %w", err)
	}
	u.installed = id
	if err := u.learnRunning(); err != nil {
		return err
	}
	return u.learnCurrent()
}

// learnCurrent finds out which version stands at the install path, where another process may have committed
// one since we looked. The caller holds u.mu.
func (u *Updater) learnCurrent() error {
	d, err := u.diskDigest()
	if err != nil {
		return fail(Failed, "io", "read the installed executable: %w", err)
	}
	last := u.state.Last
	switch {
	case d == u.running:
		u.current = build{u.o.Version, d}
	case last != nil && last.Outcome == outcomeCommitted && last.Digest == d:
		u.current = build{last.To, d}
	}
	return nil
}

// letGo gives the lock up. The caller holds u.mu.
func (u *Updater) letGo() error {
	u.held = false
	if err := u.flock.Unlock(); err != nil {
		return fail(Failed, "io", "unlock %s: %w", u.dir, err)
	}
	return nil
}

// Unlock gives the lock up, for the successor to take.
func (u *Updater) Unlock() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.letGo()
}

// keepRunning names the installed executable in the state directory, if it is the build that runs.
func (u *Updater) keepRunning() error {
	d, err := u.diskDigest()
	if err != nil {
		return fail(Failed, "io", "read the installed executable: %w", err)
	}
	if d != u.running {
		u.log.Warn("the installed executable is not the one that runs", "path", u.path, "installed", d.Short(), "running", u.running.Short())
		return nil
	}
	known := len(u.state.Kept) > 0 && u.state.Kept[0].Digest == d
	if err := u.keep(build{u.o.Version, d}); err != nil {
		return err
	}
	if known {
		return nil
	}
	return u.save(true)
}

// mostKept is how many versions are kept, that which runs included.
const mostKept = 4

// keep gives the file at the install path, which is b, its second name below versions, and lists it first.
func (u *Updater) keep(b build) error {
	file := u.versionFile(b)
	if !u.isKept(file, b) {
		if err := os.RemoveAll(u.versionDir(b)); err != nil {
			return fail(Failed, "io", "keep the installed version: %w", err)
		}
		err := os.Mkdir(u.versionDir(b), 0o700)
		if err == nil {
			err = linkOrCopy(u.path, file)
		}
		u.step("kept")
		if err == nil {
			err = syncDir(u.versionDir(b))
		}
		if err == nil {
			err = syncDir(filepath.Dir(u.versionDir(b)))
		}
		if err != nil {
			return fail(diskClass(err), "io", "keep the installed version: %w", err)
		}
	}
	list := []Kept{Kept(b)}
	for _, k := range u.state.Kept {
		if k.Digest != b.Digest && len(list) < mostKept {
			list = append(list, k)
		}
	}
	u.state.Kept = list
	return nil
}

func (u *Updater) isKept(file string, b build) bool {
	kept, err := identifyFile(file)
	if err != nil {
		return false
	}
	if here, err := identifyFile(u.path); err == nil && here == kept && kept.ino != 0 {
		return true
	}
	return digestIs(file, b.Digest)
}
