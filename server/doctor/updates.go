package doctor

import (
	"fmt"
	"strings"
	"time"

	"github.com/moult-go/moult/release"
)

// clock must be good enough for what expires and for what is rolled out by and by.
func (f *facts) clock() []Finding {
	const day = 24 * time.Hour
	const mend = "set it by the network: timedatectl set-ntp true"
	switch {
	case f.Built.After(f.now.Add(day)):
		return one(Error, fmt.Sprintf("the clock says %s, and this program was built on %s", f.now.UTC().Format(time.DateOnly), f.Built.UTC().Format(time.DateOnly)),
			"a clock that is behind takes metadata for fresh that has expired long ago, and waits for rollouts that are over", mend)
	case f.expired() && f.unsynced != "":
		return one(Error, f.unsynced+", and the feed's metadata has expired by it", "a clock that is ahead finds every feed expired, and takes no update", mend)
	case f.unsynced != "":
		return one(Warning, f.unsynced, "metadata that expires and releases that are rolled out by and by go by the clock", mend)
	}
	return fine("the clock says %s", f.now.UTC().Format("2006-01-02 15:04 MST"))
}

func (f *facts) expired() bool {
	for _, e := range f.expiries {
		if e.Expires.Before(f.now) {
			return true
		}
	}
	return false
}

// feed looks at the metadata that was trusted last.
func (f *facts) feed() []Finding {
	if len(f.expiries) == 0 {
		return nil
	}
	var gone, soon []string
	const why = "no update is taken from a feed that has expired; what serves goes on serving"
	for _, e := range f.expiries {
		switch left := e.Expires.Sub(f.now); {
		case left <= 0:
			gone = append(gone, fmt.Sprintf("%s on %s", e.Role, e.Expires.UTC().Format(time.DateOnly)))
		case left < early(e.Role):
			soon = append(soon, fmt.Sprintf("%s in %s", e.Role, left.Round(time.Hour)))
		}
	}
	switch {
	case len(gone) > 0:
		return one(Error, "what this host has of the feed expired: "+strings.Join(gone, ", "), why, f.App+" check, which fetches it anew; if that is expired too, its publisher has to run: moult refresh")
	case len(soon) > 0:
		return one(Warning, "the feed expires soon: "+strings.Join(soon, ", "), why, "its publisher has to renew it: moult refresh, or moult root refresh with the root keys")
	}
	return fine("nothing of the feed expires soon")
}

// early is how long before its end somebody should have renewed a role; as release/tuf has it for those who read.
func early(role string) time.Duration {
	const day = 24 * time.Hour
	switch role {
	case "timestamp":
		return day
	case "snapshot":
		return 10 * day
	}
	return 60 * day
}

// version must parse, or nothing is compared with it.
func (f *facts) version() []Finding {
	version := f.Version
	if f.Status != nil {
		version = f.Status.Version
	}
	if _, err := release.ParseVersion(version); err != nil {
		return one(Warning, fmt.Sprintf("version %q does not parse", version), "nothing is newer or older than it, so no update is applied by itself", "build it with -ldflags '-X main.version=1.2.3', or once: "+f.App+" upgrade VERSION")
	}
	switch {
	case f.Status != nil && !f.Status.Updates.On && f.passes():
		return fine("version %s; updates wait: %s", version, f.Status.Updates.Reason)
	case f.Status != nil && !f.Status.Updates.On && f.updater != nil && f.Disabled == "":
		return one(Warning, "updates are off: "+f.Status.Updates.Reason, "nothing is applied by itself", f.App+" upgrade applies one when you ask for it")
	case f.updater != nil && f.updater.Yanked != nil:
		return one(Warning, fmt.Sprintf("version %s, which runs, was withdrawn: %s", version, f.updater.Yanked.Reason), "its publisher says that it should run nowhere", f.App+" upgrade")
	}
	return fine("version %s", version)
}

// passes reports that a server which does not update now will do so by itself, or follows another one that does: it has just taken over.
func (f *facts) passes() bool {
	const settling = 30 * time.Second
	return f.updater != nil && f.updater.Automatic && (len(f.Instances) > 1 || f.now.Sub(f.Status.Since) < settling)
}

// expected are reasons of a check that say nothing is wrong.
var expected = map[string]bool{"": true, "held": true, "rollout": true, "window": true, "same-version": true, "disabled": true, "package-owned": true, "quarantined": true, "no-source": true, "older": true}

func (f *facts) lastCheck() []Finding {
	if f.updater == nil || expected[f.updater.CheckReason] {
		return nil
	}
	if o := f.updater.Obstacle; o != nil && o.Reason == f.updater.CheckReason {
		return nil // told already
	}
	return one(Warning, fmt.Sprintf("the last check, %s ago, led to nothing (%s): %s", f.now.Sub(f.updater.LastCheck).Round(time.Second), f.updater.CheckReason, f.updater.CheckError),
		"until that is gone no update comes", f.App+" check tells whether it still is so")
}

func (f *facts) hold() []Finding {
	if f.updater == nil || f.updater.Hold == nil {
		return nil
	}
	return one(Warning, f.updater.Hold.String(), "no update is applied while they are", f.App+" unhold")
}

func (f *facts) quarantine() []Finding {
	if f.updater == nil || len(f.updater.Quarantine) == 0 {
		return nil
	}
	var list []string
	for _, q := range f.updater.Quarantine {
		list = append(list, fmt.Sprintf("%s (%s)", q.Version, q.Reason))
	}
	return one(Warning, "in quarantine: "+strings.Join(list, ", "), "these builds failed here and are not tried again", "wait for the next version, or: "+f.App+" quarantine clear VERSION")
}
