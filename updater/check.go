package updater

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/moult-go/moult/release"
)

// Check asks the source and applies the policy. It changes nothing but the metadata cache. What keeps an
// update from being applied goes into log and status under its reason.
func (u *Updater) Check(ctx context.Context, r Request) (Found, error) {
	f, err := u.check(ctx, r)
	switch {
	case err != nil:
		u.refuse(r, f, asError(ctx, err, Failed, "io"))
	case f.Stop != nil:
		u.refuse(r, f, f.Stop)
	case f.Candidate.Version.IsZero() && r.Manual:
		u.refuse(r, f, u.missing())
	default:
		u.refuse(r, f, nil)
	}
	return f, err
}

// missing says that there is nothing to take.
func (u *Updater) missing() *Error {
	return fail(Temporary, "missing", "%s offers nothing for %s", u.o.Source, release.Host())
}

// refuse notes why nothing is applied; nil clears it. The log gets it when it is new, or a person has asked.
func (u *Updater) refuse(r Request, f Found, e *Error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	known := u.refused
	if u.refused = e; e == nil || e.Reason == "interrupted" {
		return
	}
	if r.Manual || known == nil || known.Error() != e.Error() {
		u.log.Warn("update not applied", "version", f.Candidate.Version.String(), "reason", e.Reason, "err", e)
	}
}

func (u *Updater) check(ctx context.Context, r Request) (Found, error) {
	f := Found{Current: u.o.Version}
	if u.o.Source == nil {
		return f, fail(Usage, "no-source", "check for updates: no source is configured")
	}
	r.event(Event{Phase: PhaseCheck, Message: u.o.Source.String()})
	offered, err := u.o.Source.Check(ctx, u.query())
	u.mu.Lock()
	defer u.mu.Unlock()
	u.lastCheck = u.now()
	if err != nil {
		return f, asError(ctx, fmt.Errorf("check %s: %w", u.o.Source, err), Temporary, "network")
	}
	if err := u.learnRunning(); err != nil {
		return f, err
	}
	st := u.state
	if !u.held {
		if st, err = u.readState(); err != nil {
			st = newState()
		}
	}
	p := policy{
		host:    release.Host(),
		version: u.version,
		current: u.current,
		state:   st,
		now:     u.now(),
		free:    func() (uint64, error) { return freeSpace(u.dir) },
	}
	f.Current = u.current.Version
	f.Candidate, f.Stop, err = p.choose(offered, r)
	f.Available = err == nil && f.Stop == nil && !f.Candidate.Version.IsZero() && f.Candidate.Digest != u.current.Digest
	return f, err
}

// policy is what a choice among the offers depends on.
type policy struct {
	host    release.Platform
	version release.Version // of this process; zero if it does not parse
	current build           // at the install path
	state   *state
	now     time.Time
	free    func() (uint64, error)
}

// choose returns the newest offer, or the one that r names, and why it may not be applied. Neither an older
// nor an already installed one is an error of its own; the zero Candidate is none at all.
func (p policy) choose(offered []Candidate, r Request) (Candidate, *Error, error) {
	var want release.Version
	if r.Version != "" {
		var err error
		if want, err = release.ParseVersion(r.Version); err != nil {
			return Candidate{}, nil, &Error{Usage, "bad-version", err}
		}
		if !r.Manual {
			return Candidate{}, nil, fail(Usage, "bad-version", "only a person may ask for version %s", want)
		}
		offered = slices.DeleteFunc(slices.Clone(offered), func(c Candidate) bool { return c.Version.Compare(want) != 0 })
		if len(offered) == 0 {
			return Candidate{}, nil, fail(Failed, "no-such-version", "version %s is not offered", want)
		}
	}
	if len(offered) == 0 {
		return Candidate{}, nil, nil
	}
	c := newest(offered, p.fits)
	if c.Version.IsZero() {
		c = newest(offered, func(Candidate) bool { return true })
	}
	return c, p.stop(c, r), nil
}

func newest(offered []Candidate, ok func(Candidate) bool) (best Candidate) {
	for _, c := range offered {
		if ok(c) && c.Version.Compare(best.Version) > 0 {
			best = c
		}
	}
	return best
}

func (p policy) fits(c Candidate) bool { return p.host.Runs(c.Platform) }

// stop returns the first reason against c, in the order of the design.
func (p policy) stop(c Candidate, r Request) *Error {
	if p.version.IsZero() && r.Version == "" {
		return fail(Policy, "version-unparsable",
			"this program's version %q cannot be compared: nothing is updated by itself; name the version to change to", p.current.Version)
	}
	if !p.fits(c) {
		return fail(Policy, "wrong-platform", "version %s is offered for %s, and this is %s", c.Version, c.Platform, p.host)
	}
	if c.Digest == p.current.Digest {
		return nil
	}
	if err := p.direction(c); err != nil {
		return err
	}
	if q := p.state.quarantined(c.Digest); q != nil && !r.Force {
		return fail(Policy, "quarantined", "version %s is in quarantine since %s: %s",
			c.Version, q.Since.UTC().Format(time.RFC3339), q.Reason)
	}
	if f := p.state.failing(c.Digest); f != nil && !r.Manual && p.now.Before(f.Until) {
		return fail(Policy, "backing-off", "version %s failed and is tried again after %s", c.Version, f.Until.UTC().Format(time.RFC3339))
	}
	return p.space(c)
}

// direction refuses what leads back. An attacker who can replay an old signed release must not win an old
// hole by it, so not even a person may go below the floor this way: a rollback takes a version kept here.
func (p policy) direction(c Candidate) *Error {
	current, err := release.ParseVersion(p.current.Version)
	if err != nil {
		current = p.version
	}
	switch {
	case c.Version.Compare(current) < 0:
		return fail(Policy, "older", "version %s is older than %s, which runs; `rollback` brings a kept version back", c.Version, current)
	case c.Version.Compare(p.state.Floor) < 0:
		return fail(Policy, "older", "version %s is older than %s, which was installed before; `rollback` brings a kept version back",
			c.Version, p.state.Floor)
	case c.Version.Compare(current) == 0 && !current.IsZero():
		return fail(Policy, "same-version", "version %s runs already; the one offered is another build of it (sha256 %s…)", c.Version, c.Digest.Short())
	}
	return nil
}

// headroom is left free beside the download and the staged file.
const headroom = 16 << 20

func (p policy) space(c Candidate) *Error {
	free, err := p.free()
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fail(Failed, "io", "look for free space: %w", err)
	}
	if need := 2*uint64(c.Length) + headroom; c.Length < 0 || free < need {
		return fail(Temporary, "disk-space", "version %s needs %d MB of free space, %d MB are left", c.Version, need>>20, free>>20)
	}
	return nil
}
