package updater

import (
	"context"
	"time"

	"github.com/moult-go/moult/release"
)

const (
	// installedPoll is how often the installed executable is looked at.
	installedPoll = time.Second
	// installedRest is how long it must have been left alone.
	installedRest = 2 * time.Second
)

// managerLocks are what package managers hold while they work: dpkg and apt, rpm and dnf.
var managerLocks = []string{
	"/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock",
	"/var/lib/rpm/.rpm.lock", "/usr/lib/sysimage/rpm/.rpm.lock",
}

// Replaced waits until the install path holds another build than the one that runs and a restart with it is due: then it returns nil.
// The caller hands over to the path ([Updater.ProveInstalled] comes first) and tells of a failure by [Updater.RestartFailed]; that build is not due
// again until it is another one. It returns ctx's error when ctx ends.
//
// A process without the update lock follows whoever has it, and anybody else who may write the path; it writes nothing there and nothing in the
// state directory, whatever becomes of its restart. The holder follows what was committed here, perhaps by the instance that had
// the lock before, and with Options.FollowInstalled also what somebody else put there. The file is left alone until nobody writes it, no attempt
// of the holder is under way that may still be undone, and no package manager is at work.
func (u *Updater) Replaced(ctx context.Context) error {
	var last identity
	var since time.Time
	for {
		id, err := identifyFile(u.path)
		switch {
		case err != nil: // it is being replaced
			last = identity{}
		case id != last:
			last, since = id, u.now()
		case u.now().Sub(since) >= u.rest && u.restartDue():
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(u.poll):
		}
	}
}

func (u *Updater) restartDue() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.learnRunning(); err != nil {
		return false
	}
	d, err := u.diskDigest()
	if err != nil {
		return false
	}
	if d != u.spurned { // the file has changed
		u.spurned = release.Digest{}
	}
	if d == u.running || d == u.spurned {
		return false
	}
	st := u.state
	if !u.held {
		if st, err = u.readState(); err != nil {
			return false
		}
	}
	if st.Phase != journalIdle {
		return false
	}
	ours := st.Last != nil && st.Last.Outcome == outcomeCommitted && st.Last.Digest == d
	if u.held && !ours && !u.o.FollowInstalled {
		return false
	}
	for _, file := range u.managers {
		if isLocked(file) {
			return false
		}
	}
	return true
}

// trying notes which build a restart is tried with: another one may stand there when it has failed.
func (u *Updater) trying() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.tried, _ = u.diskDigest()
}

// spurn keeps the build that a restart failed with from being tried again by itself; nil forgets it. One that somebody still writes is not
// to blame. The caller holds u.mu.
func (u *Updater) spurn(err error) {
	if u.spurned = u.tried; err == nil || isTextBusy(err) {
		u.spurned = release.Digest{}
	}
}
