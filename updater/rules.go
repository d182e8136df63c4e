package updater

import (
	"errors"
	"fmt"
	"time"

	"github.com/moult-go/moult/release"
)

// The rules of policy.go, in its order.

// held heeds whoever said "not now". A person who asks for an update must say so by force: it may have been another one.
func (h *Host) held(v *Choice, r Request, now time.Time) {
	if !h.Hold.holds(now) || r.Force {
		return
	}
	v.Stop = fail(Policy, "held", "version %s is not applied: %s", v.Candidate.Version, h.Hold)
	v.Again, v.late = h.Hold.Until, week
}

// owned leaves the file to the package manager that has installed it. No force skips that: it is for whoever set the service up to say.
func (h *Host) owned(v *Choice, _ Request, _ time.Time) {
	if h.Owner != nil {
		v.Stop = packageOwned(fmt.Sprintf("version %s is not applied to this program", v.Candidate.Version), h.Owner)
	}
}

// comparable wants a version of our own to compare with, unless a person names one.
func (h *Host) comparable(v *Choice, r Request, _ time.Time) {
	if h.Version.IsZero() && r.Version == "" {
		v.Stop = fail(Policy, "version-unparsable",
			"this program's version cannot be compared: nothing is updated by itself; name the version to change to")
	}
}

func (h *Host) platform(v *Choice, _ Request, _ time.Time) {
	if c := v.Candidate; !h.fits(c) {
		v.Stop = fail(Policy, "wrong-platform", "version %s is offered for %s, and this is %s", c.Version, c.Platform, h.Platform)
	}
}

// direction refuses what leads back. An attacker who can replay an old signed release must not win an old
// hole by it, so not even a person may go below the floor this way: a rollback takes a version kept here.
func (h *Host) direction(v *Choice, _ Request, _ time.Time) {
	c := v.Candidate
	switch cmp := c.Version.Compare(h.Installed); {
	case cmp < 0:
		v.Stop = fail(Policy, "older", "version %s is older than %s, which runs; `rollback` brings a kept version back", c.Version, h.Installed)
	case c.Version.Compare(h.Floor) < 0:
		v.Stop = fail(Policy, "older", "version %s is older than %s, which was installed before; `rollback` brings a kept version back",
			c.Version, h.Floor)
	case cmp == 0 && !h.Installed.IsZero():
		v.Stop = fail(Policy, "same-version", "version %s runs already; the one offered is another build of it (sha256 %s…)", c.Version, c.identity().Short())
	}
}

// stable is the channel without pre-releases.
const stable = "stable"

// inChannel reports whether c is in the channel that the host is in. Where the source knows of no channels, what is a pre-release by its version is not in
// "stable", and is in every other one. (Constraints never decide that: see release.ParseConstraint.)
func (h *Host) inChannel(c Candidate) bool {
	switch {
	case h.Channel == "":
		return true
	case c.Channel != "":
		return c.Channel == h.Channel
	}
	return h.Channel != stable || c.Version.Prerelease() == ""
}

func (h *Host) channel(v *Choice, _ Request, _ time.Time) {
	c := v.Candidate
	switch {
	case h.inChannel(c):
	case c.Channel != "":
		v.Stop = fail(Policy, "channel", "version %s is in channel %.40q, and this host in %q", c.Version, c.Channel, h.Channel)
	default:
		v.Stop = fail(Policy, "channel", "version %s is a pre-release, and this host is in channel %q", c.Version, h.Channel)
	}
}

func (h *Host) constraint(v *Choice, _ Request, _ time.Time) {
	if c := v.Candidate; !h.Constraint.Allows(c.Version) {
		v.Stop = fail(Policy, "constraint", "version %s is outside of %q, which this host keeps to", c.Version, h.Constraint)
	}
}

// maxPublisher bounds what is repeated of a publisher's words, in bytes.
const maxPublisher = 300

// publisher heeds who stopped the release. A yank withdraws it, perhaps because its key was stolen, so nobody takes it; a halt is a question,
// which the owner of a host may answer by force.
func (h *Host) publisher(v *Choice, r Request, _ time.Time) {
	c := v.Candidate
	switch {
	case c.Yanked != nil:
		v.Stop = stopped("yanked", c, c.Yanked)
	case c.Halted != nil && !r.Force:
		v.Stop = stopped("halted", c, c.Halted)
	}
}

func stopped(reason string, c Candidate, s *release.Stop) *Error {
	why := printable(s.Reason, maxPublisher)
	if why == "" {
		why = "no reason given"
	}
	return fail(Policy, reason, "version %s was %s by its publisher at %s: %s", c.Version, reason, s.Since.UTC().Format(time.RFC3339), why)
}

// step wants the release in between: what an older version cannot be upgraded from directly, it cannot be by force either.
func (h *Host) step(v *Choice, _ Request, _ time.Time) {
	if c := v.Candidate; c.Minimum.Compare(h.Installed) > 0 && !h.Installed.IsZero() {
		v.Stop = fail(Policy, "stepping-stone", "version %s can be taken from %s on, and this is %s: a release in between comes first",
			c.Version, c.Minimum, h.Installed)
	}
}

// format refuses what this program cannot decode; an older release may bring one that can.
func (h *Host) format(v *Choice, _ Request, _ time.Time) {
	if c := v.Candidate; len(c.ways(h.Digest)) == 0 {
		v.Stop = fail(Policy, "unknown-format", "version %s is offered in the format %.16q, which this program cannot decode: a release in between, or one installed by hand, comes first",
			c.Version, c.Full.Format)
	}
}

// quarantined refuses a build that failed here.
func (h *Host) quarantined(v *Choice, r Request, _ time.Time) {
	c := v.Candidate
	if q := quarantined(h.Quarantine, c.identity()); q != nil && !r.Force {
		v.Stop = fail(Policy, "quarantined", "version %s is in quarantine since %s: %s",
			c.Version, q.Since.UTC().Format(time.RFC3339), q.Reason)
	}
}

// backoff waits before a build that may not be to blame is tried again.
func (h *Host) backoff(v *Choice, r Request, now time.Time) {
	c := v.Candidate
	if f := failing(h.failures, c.identity()); f != nil && !r.Manual && now.Before(f.Until) {
		v.Stop = fail(Policy, "backing-off", "version %s failed and is tried again after %s", c.Version, f.Until.UTC().Format(time.RFC3339))
	}
}

// share lets a host wait for its turn in a rollout, unless somebody asks for the update, or it is critical.
func (h *Host) share(v *Choice, r Request, now time.Time) {
	c := v.Candidate
	if c.Rollout == nil || c.Critical || r.now() {
		return
	}
	at, ok := c.Rollout.Slot(h.Seed)
	switch {
	case !ok:
		v.Stop = fail(Policy, "rollout", "version %s goes to a part of the hosts so far, and not to this one", c.Version)
		v.Turn = &Turn{Version: c.Version.String()}
	case now.Before(at):
		v.Stop = fail(Policy, "rollout", "version %s goes to the hosts by and by: this one's turn is at %s", c.Version, at.UTC().Format(time.RFC3339))
		v.Turn = &Turn{c.Version.String(), at}
	}
}

// window waits for the next one, unless somebody asks for the update: critical or not, an update is a restart.
func (h *Host) window(v *Choice, r Request, now time.Time) {
	o := opening(h.Windows, now)
	if o == nil || o.Open || r.now() {
		return
	}
	v.Stop = fail(Policy, "window", "version %s waits for the window: it opens at %s", v.Candidate.Version, o.At.Format(time.RFC3339))
	v.Again, v.late = o.At, o.length
}

// headroom is left free beside the download and the staged file.
const headroom = 16 << 20

func (h *Host) space(v *Choice, _ Request, _ time.Time) {
	if h.free == nil {
		return
	}
	free, err := h.free()
	if errors.Is(err, errors.ErrUnsupported) {
		return
	}
	if err != nil {
		v.Stop = fail(Failed, "io", "look for free space: %w", err)
		return
	}
	c := v.Candidate
	length := c.Length
	if c.isLearned() {
		length = 4 * c.Full.Length // executables compress to a quarter at best
	}
	if need := uint64(c.Full.Length) + uint64(length) + headroom; c.Length < 0 || c.Full.Length < 0 || free < need {
		v.Stop = fail(Temporary, "disk-space", "version %s needs %d MB of free space, %d MB are left", c.Version, need>>20, free>>20)
	}
}
