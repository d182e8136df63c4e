package updater

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
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
	if e := (*Error)(nil); errors.As(err, &e) && (e.Class == Permission || e.Class == Temporary) {
		u.log.Warn("without a copy of the version that runs", "err", err) // an update will be refused for the same reason
		err = nil
	}
	if err != nil {
		u.letGo()
		return err
	}
	u.sweep()
	if dirs := exposed(u.path); len(dirs) > 0 {
		u.log.Warn("others may replace this program, for they may write directories on the way to it", "path", u.path, "directories", strings.Join(dirs, ", "))
	}
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
		ok, err := u.tryFlock()
		if err != nil {
			return err
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

// lockFile is held by the one process that may change the installation.
const lockFile = "lock"

// tryFlock locks the file that has the lock's name in the state directory, and no other one: that name may have been planted, or
// taken away from the file under the lock of another process.
func (u *Updater) tryFlock() (bool, error) {
	if err := u.inPlace(); err != nil {
		return false, err
	}
	if fi, err := u.root.Lstat(lockFile); err == nil && (!fi.Mode().IsRegular() || !isOurs(fi)) {
		if err := u.root.RemoveAll(lockFile); err != nil {
			return false, diskError(err, "lock %s", u.flock.Path())
		}
	}
	ok, err := u.flock.TryLock()
	if err != nil {
		return false, fail(Permission, "state-dir", "lock %s: %w", u.flock.Path(), err)
	}
	if !ok {
		return false, nil
	}
	locked, err1 := u.flock.Stat()
	named, err2 := u.root.Lstat(lockFile)
	if err1 == nil && err2 == nil && os.SameFile(locked, named) {
		return true, nil
	}
	return false, u.flock.Unlock()
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
		if !u.ownImage {
			return nil
		}
	}
	known := len(u.state.Kept) > 0 && u.state.Kept[0].Digest == u.running
	switch err := u.keep(build{u.o.Version, u.running}); {
	case err != nil && d != u.running:
		u.log.Warn("there is no copy of the version that runs to come back to", "err", err)
		return nil
	case err != nil:
		return err
	}
	if known {
		return nil
	}
	return u.save(true)
}

// keep gives the file at the install path, which is b, its second name below versions, and lists it first. Where b runs and its file was
// replaced before it had another name, it is copied from the image of this process.
func (u *Updater) keep(b build) error {
	if !u.isKept(b) {
		if err := u.keepNow(b); err != nil {
			return diskError(err, "keep the installed version")
		}
	}
	list := []Kept{Kept(b)}
	for _, k := range u.state.Kept {
		if k.Digest != b.Digest {
			list = append(list, k)
		}
	}
	u.state.Kept = u.retain(list)
	return nil
}

func (u *Updater) keepNow(b build) error {
	dir, file := keptDir(b), u.keptFile(b)
	if err := u.root.RemoveAll(dir); err != nil {
		return err
	}
	if err := u.root.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := u.nameOrCopy(b, file); err != nil {
		return err
	}
	u.step("kept")
	if err := syncDir(u.root, dir); err != nil {
		return err
	}
	return syncDir(u.root, path.Dir(dir))
}

func (u *Updater) nameOrCopy(b build, file string) error {
	image := b.Digest == u.running && u.ownImage
	if d, err := u.diskDigest(); err == nil && d != b.Digest && image {
		return u.copyImage(file)
	}
	place, err := u.place()
	if err != nil {
		return err
	}
	defer place.Close()
	if err := linkOrCopy(place, u.name, u.root, file); err != nil || digestIsIn(u.root, file, b.Digest) {
		return err
	}
	// It was replaced between the look and the link.
	if err := u.root.Remove(file); err != nil {
		return err
	}
	if image {
		return u.copyImage(file)
	}
	return fmt.Errorf("the file at %s is not version %s any more", u.path, b.Version)
}

// copyImage copies what this process runs, wherever its file is.
func (u *Updater) copyImage(file string) error {
	image, err := os.Open(ownImage())
	if err != nil {
		return err
	}
	defer image.Close()
	return copyWhole(image, u.root, file)
}

func (u *Updater) isKept(b build) bool {
	kept, err := identifyIn(u.root, u.keptFile(b))
	if err != nil {
		return false
	}
	if here, err := identifyFile(u.path); err == nil && here == kept && kept.ino != 0 {
		return true
	}
	return digestIsIn(u.root, u.keptFile(b), b.Digest)
}
