package updater

import (
	"cmp"
	"slices"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/updater/owner"
)

// Host is what a host brings to a choice among offers. The updater fills it in from its options and its disk; a simulation of many hosts
// fills it in by itself and so runs the very code that a server runs.
type Host struct {
	Platform   release.Platform
	Version    release.Version // of this process; the zero Version turns automatic updating off
	Installed  release.Version // at the install path
	Digest     release.Digest  // of the executable there
	Floor      release.Version // highest version ever committed
	Channel    string          // "" for any
	Constraint release.Constraint
	Hold       *Hold
	Owner      *owner.Package // of the executable; nil: none
	Quarantine []Quarantined
	Seed       []byte   // decides when its share of a rollout comes
	Windows    []Window // none: any time will do

	failures []failure
	free     func() (uint64, error) // bytes; nil: enough
}

// Choice is what [Choose] made of the offers.
type Choice struct {
	Candidate Candidate // what is taken, or what the host has, or the newest; the zero Candidate: nothing is offered
	Stop      *Error    // why it is not taken
	Turn      *Turn     // a newer one waits for this host's share of its rollout; of several, the first whose turn it is
	Again     time.Time // when a window opens or a hold ends; zero: nothing waits for that

	late time.Duration // how long after Again is still in time
}

// Turn is a host's place in a rollout.
type Turn struct {
	Version string    `json:"version"`
	At      time.Time `json:"at,omitzero"` // zero: it never comes, as the curve is now
}

// rule finds a reason against a release, and when it will be gone, if that is known.
type rule func(h *Host, v *Choice, r Request, now time.Time)

// rules are asked in this order, and the first reason counts; docs/explanation/how-it-works.md says what each means. A program that is built not to update
// itself does not come to it.
var rules = []rule{
	(*Host).held,
	(*Host).owned,
	(*Host).comparable,
	(*Host).platform,
	(*Host).direction,
	(*Host).channel,
	(*Host).constraint,
	(*Host).publisher,
	(*Host).step,
	(*Host).format,
	(*Host).quarantined,
	(*Host).backoff,
	(*Host).share,
	(*Host).window,
	(*Host).space,
}

// passing are the stops that say something of one release only: what is older and may be taken is taken meanwhile. A build
// in quarantine or backing off is none of them: it failed here, and the next one may fail for the same reason; so an operator
// finds the version that was left, and not a third one.
var passing = []string{"constraint", "halted", "yanked", "stepping-stone", "unknown-format", "rollout"}

// Choose returns the newest offer that h may take at this instant, or, if there is none, the newest at all and the first
// reason against it; of an explicit r.Version only that. What the host has already is no error but a choice without a Stop.
func Choose(offered []Candidate, h Host, r Request, now time.Time) (Choice, error) {
	offered, err := named(offered, r)
	if err != nil || len(offered) == 0 {
		return Choice{}, err
	}
	var first Choice
	for i, c := range h.queue(offered) {
		v := h.judge(c, r, now)
		if i == 0 {
			first = v
		} else {
			first.wait(v)
		}
		if v.Stop == nil && !h.has(c) {
			first.Candidate, first.Stop = c, nil
		}
		if v.Stop == nil || !slices.Contains(passing, v.Stop.Reason) {
			break
		}
	}
	return first, nil
}

// wait takes over what v waits for, where that comes first.
func (c *Choice) wait(v Choice) {
	if v.Turn != nil && v.Turn.before(c.Turn) {
		c.Turn = v.Turn
	}
	if c.Again.IsZero() {
		c.Again, c.late = v.Again, v.late
	}
}

func (t *Turn) before(o *Turn) bool {
	return o == nil || !t.At.IsZero() && (o.At.IsZero() || t.At.Before(o.At))
}

// named keeps the version that r names, if it names one.
func named(offered []Candidate, r Request) ([]Candidate, error) {
	if r.Version == "" {
		return offered, nil
	}
	want, err := release.ParseVersion(r.Version)
	if err != nil {
		return nil, &Error{Usage, "bad-version", err}
	}
	if !r.Manual {
		return nil, fail(Usage, "bad-version", "only a person may ask for version %s", want)
	}
	offered = slices.DeleteFunc(slices.Clone(offered), func(c Candidate) bool { return c.Version.Compare(want) != 0 })
	if len(offered) == 0 {
		return nil, fail(Failed, "no-such-version", "version %s is not offered", want)
	}
	return offered, nil
}

// queue is the offers in the order in which they are considered: those for this platform and in this channel, the newest first; then, so that a reason
// can be named, the others.
func (h *Host) queue(offered []Candidate) []Candidate {
	q := slices.Clone(offered)
	slices.SortStableFunc(q, func(a, b Candidate) int {
		return cmp.Or(h.rank(b)-h.rank(a), b.Version.Compare(a.Version))
	})
	return q
}

func (h *Host) rank(c Candidate) int {
	switch {
	case !h.fits(c):
		return 0
	case !h.inChannel(c):
		return 1
	}
	return 2
}

func (h *Host) fits(c Candidate) bool {
	return c.Platform == h.Platform || h.Platform.Runs(c.Platform)
}

// has reports whether c is what stands at the install path. A source that cannot know what is in an archive offers it by its version.
func (h *Host) has(c Candidate) bool {
	return c.Digest == h.Digest || c.Digest.IsZero() && !h.Installed.IsZero() && c.Version.Compare(h.Installed) == 0
}

// judge finds the first reason against c. What the host has needs none.
func (h *Host) judge(c Candidate, r Request, now time.Time) Choice {
	v := Choice{Candidate: c}
	if h.has(c) {
		return v
	}
	for _, rule := range rules {
		if rule(h, &v, r, now); v.Stop != nil {
			break
		}
	}
	return v
}
