package updater

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/updater/owner"
)

func offered(version, platform string, mark byte) Candidate {
	p, err := release.ParsePlatform(platform)
	if err != nil {
		panic(err)
	}
	return Candidate{Version: release.MustParseVersion(version), Platform: p, Length: 1000, Digest: release.Digest{mark}}
}

func TestPolicy(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	list := func(c ...Candidate) []Candidate { return c }
	const host = "linux/amd64"
	// with changes an offer.
	with := func(c Candidate, change func(*Candidate)) Candidate { change(&c); return c }
	halted := func(c *Candidate) { c.Halted = &release.Stop{Reason: "slow", Since: now} }
	yanked := func(c *Candidate) { c.Yanked = &release.Stop{Since: now} }
	future := func(c *Candidate) { c.Full.Format = "future" }
	from := func(minimum string) func(*Candidate) {
		return func(c *Candidate) { c.Minimum = release.MustParseVersion(minimum) }
	}
	// The turn of every host comes at the same instant.
	turn := func(after time.Duration) func(*Candidate) {
		return func(c *Candidate) {
			c.Rollout = &release.Rollout{Salt: "salt", Start: now.Add(after), Curve: []release.Point{{Seconds: 0, Share: 1}}}
		}
	}
	never := func(c *Candidate) {
		c.Rollout = &release.Rollout{Salt: "salt", Start: now.Add(-time.Hour), Curve: []release.Point{{Seconds: 0, Share: 0}}}
	}
	critical := func(c *Candidate) { c.Critical = true }
	tests := []struct {
		name    string
		version string // running; default 1.0.0
		floor   string
		offers  []Candidate
		request Request
		want    string // version chosen
		stop    string // reason; "" for none
		err     string // reason
		turn    string // version and hour of the host's turn
	}{
		{name: "nothing offered"},
		{name: "newest of several", offers: list(offered("1.1.0", host, 1), offered("1.3.0", host, 3), offered("1.2.0", host, 2)), want: "1.3.0"},
		{name: "already current", offers: list(offered("1.0.0", host, 9)), want: "1.0.0"},
		{name: "another build of it", offers: list(offered("1.0.0", host, 1)), want: "1.0.0", stop: "same-version"},
		{name: "build metadata is no news", offers: list(offered("1.0.0+2", host, 1)), want: "1.0.0+2", stop: "same-version"},
		{name: "older", offers: list(offered("0.9.0", host, 1)), want: "0.9.0", stop: "older"},
		{name: "below the floor", floor: "2.0.0", offers: list(offered("1.5.0", host, 1)), want: "1.5.0", stop: "older"},
		{name: "the floor itself", floor: "2.0.0", offers: list(offered("2.0.0", host, 1)), want: "2.0.0"},
		{name: "older by hand", offers: list(offered("0.9.0", host, 1), offered("1.1.0", host, 2)),
			request: Request{Manual: true, Version: "0.9.0"}, want: "0.9.0", stop: "older"},
		{name: "older by force", offers: list(offered("0.9.0", host, 1)),
			request: Request{Manual: true, Force: true, Version: "v0.9.0"}, want: "0.9.0", stop: "older"},
		{name: "wrong platform", offers: list(offered("1.1.0", "plan9/arm", 1)), want: "1.1.0", stop: "wrong-platform"},
		{name: "ours among others", offers: list(offered("1.2.0", "plan9/arm", 1), offered("1.1.0", host, 2)), want: "1.1.0"},
		{name: "platform before age", offers: list(offered("0.1.0", "plan9/arm", 1)), want: "0.1.0", stop: "wrong-platform"},
		{name: "quarantined", offers: list(offered("1.1.0", host, 66), offered("1.0.5", host, 1)), want: "1.1.0", stop: "quarantined"},
		{name: "quarantined, forced", offers: list(offered("1.1.0", host, 66)), request: Request{Force: true}, want: "1.1.0"},
		{name: "age before quarantine", offers: list(offered("0.1.0", host, 66)), want: "0.1.0", stop: "older"},
		{name: "failed a moment ago", offers: list(offered("1.1.0", host, 77)), want: "1.1.0", stop: "backing-off"},
		{name: "failed a moment ago, by hand", offers: list(offered("1.1.0", host, 77)), request: Request{Manual: true}, want: "1.1.0"},
		{name: "dev", version: "dev", offers: list(offered("1.1.0", host, 1)), want: "1.1.0", stop: "version-unparsable"},
		{name: "dev, newest by hand", version: "dev", offers: list(offered("1.1.0", host, 1)), request: Request{Manual: true}, want: "1.1.0", stop: "version-unparsable"},
		{name: "dev, named by hand", version: "dev", offers: list(offered("1.1.0", host, 1)), request: Request{Manual: true, Version: "1.1.0"}, want: "1.1.0"},
		{name: "not offered", offers: list(offered("1.1.0", host, 1)), request: Request{Manual: true, Version: "1.2.0"}, err: "no-such-version"},
		{name: "no version", request: Request{Manual: true, Version: "latest"}, err: "bad-version"},
		{name: "named by no person", offers: list(offered("1.1.0", host, 1)), request: Request{Version: "1.1.0"}, err: "bad-version"},
		{name: "halted", offers: list(with(offered("1.1.0", host, 1), halted)), want: "1.1.0", stop: "halted"},
		{name: "halted, by hand", offers: list(with(offered("1.1.0", host, 1), halted)), request: Request{Manual: true}, want: "1.1.0", stop: "halted"},
		{name: "halted, by force", offers: list(with(offered("1.1.0", host, 1), halted)), request: Request{Manual: true, Force: true}, want: "1.1.0"},
		{name: "halted, an older good one", offers: list(with(offered("1.2.0", host, 2), halted), offered("1.1.0", host, 1), offered("1.1.1", host, 3)), want: "1.1.1"},
		{name: "halted, and the one before it runs", offers: list(with(offered("1.2.0", host, 2), halted), offered("1.0.0", host, 9)), want: "1.2.0", stop: "halted"},
		{name: "halted, and what is left is older", offers: list(with(offered("1.2.0", host, 2), halted), offered("0.9.0", host, 1)), want: "1.2.0", stop: "halted"},
		{name: "the halted one runs", offers: list(with(offered("1.0.0", host, 9), halted)), want: "1.0.0"},
		{name: "yanked", offers: list(with(offered("1.1.0", host, 1), yanked)), want: "1.1.0", stop: "yanked"},
		{name: "yanked, by force", offers: list(with(offered("1.1.0", host, 1), yanked)),
			request: Request{Manual: true, Force: true, Version: "1.1.0"}, want: "1.1.0", stop: "yanked"},
		{name: "yanked, an older good one", offers: list(with(offered("1.2.0", host, 2), yanked), offered("1.1.0", host, 1)), want: "1.1.0"},
		{name: "halted and yanked", offers: list(with(with(offered("1.1.0", host, 1), yanked), halted)), want: "1.1.0", stop: "yanked"},
		{name: "age before yank", offers: list(with(offered("0.1.0", host, 1), yanked)), want: "0.1.0", stop: "older"},
		{name: "halt before quarantine", offers: list(with(offered("1.1.0", host, 66), halted)), want: "1.1.0", stop: "halted"},
		{name: "stepping stone", offers: list(with(offered("2.0.0", host, 2), from("1.5.0"))), want: "2.0.0", stop: "stepping-stone"},
		{name: "stepping stone, by force", offers: list(with(offered("2.0.0", host, 2), from("1.5.0"))),
			request: Request{Manual: true, Force: true, Version: "2.0.0"}, want: "2.0.0", stop: "stepping-stone"},
		{name: "stepping stone there", offers: list(with(offered("3.0.0", host, 3), from("2.0.0")), with(offered("2.0.0", host, 2), from("1.0.0")), offered("1.5.0", host, 1)), want: "2.0.0"},
		{name: "stepping stone reached", version: "2.0.0", offers: list(with(offered("3.0.0", host, 3), from("2.0.0")), offered("2.0.0", host, 9)), want: "3.0.0"},
		{name: "stepping stone in quarantine", offers: list(with(offered("2.0.0", host, 2), from("1.5.0")), offered("1.5.0", host, 66)), want: "2.0.0", stop: "stepping-stone"},
		{name: "dev has no stepping stone", version: "dev", offers: list(with(offered("2.0.0", host, 2), from("1.5.0"))),
			request: Request{Manual: true, Version: "2.0.0"}, want: "2.0.0"},
		{name: "unknown format", offers: list(with(offered("1.1.0", host, 1), future)), want: "1.1.0", stop: "unknown-format"},
		{name: "unknown format, an older one that is known", offers: list(with(offered("1.2.0", host, 2), future), offered("1.1.0", host, 1)), want: "1.1.0"},
		{name: "its turn has come", offers: list(with(offered("1.1.0", host, 1), turn(0))), want: "1.1.0"},
		{name: "its turn comes", offers: list(with(offered("1.1.0", host, 1), turn(2*time.Hour))), want: "1.1.0", stop: "rollout", turn: "1.1.0 14"},
		{name: "its turn comes, by hand", offers: list(with(offered("1.1.0", host, 1), turn(2*time.Hour))), request: Request{Manual: true}, want: "1.1.0"},
		{name: "its turn comes, somebody looks", offers: list(with(offered("1.1.0", host, 1), turn(2*time.Hour))),
			request: Request{Manual: true, Patient: true}, want: "1.1.0", stop: "rollout", turn: "1.1.0 14"},
		{name: "its turn comes, critical", offers: list(with(with(offered("1.1.0", host, 1), turn(2*time.Hour)), critical)), want: "1.1.0"},
		{name: "its turn never comes", offers: list(with(offered("1.1.0", host, 1), never)), want: "1.1.0", stop: "rollout", turn: "1.1.0 never"},
		{name: "an older one meanwhile", offers: list(with(offered("1.2.0", host, 2), turn(2*time.Hour)), offered("1.1.0", host, 1)), want: "1.1.0", turn: "1.2.0 14"},
		{name: "the turn that comes first", offers: list(with(offered("1.2.0", host, 2), turn(2*time.Hour)), with(offered("1.1.0", host, 1), turn(time.Hour))),
			want: "1.2.0", stop: "rollout", turn: "1.1.0 13"},
		{name: "quarantine before rollout", offers: list(with(offered("1.1.0", host, 66), turn(2*time.Hour))), want: "1.1.0", stop: "quarantined"},
		{name: "critical is held back by all else", offers: list(with(with(offered("1.1.0", host, 1), halted), critical)), want: "1.1.0", stop: "halted"},
		{name: "no older one for a build that failed here", offers: list(offered("1.2.0", host, 77), offered("1.1.0", host, 1)), want: "1.2.0", stop: "backing-off"},
		{name: "no room", offers: list(func() Candidate { c := offered("1.1.0", host, 1); c.Length = 1 << 40; return c }()), want: "1.1.0", stop: "disk-space"},
		{name: "hostile length", offers: list(func() Candidate { c := offered("1.1.0", host, 1); c.Length = -1; return c }()), want: "1.1.0", stop: "disk-space"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			running := test.version
			if running == "" {
				running = "1.0.0"
			}
			st := newState()
			st.quarantine(build{"1.1.0", release.Digest{66}}, "crashed", now)
			st.blame(build{"1.1.0", release.Digest{77}}, true, time.Minute, now)
			if test.floor != "" {
				st.Floor = release.MustParseVersion(test.floor)
			}
			v, _ := release.ParseVersion(running)
			h := Host{
				Platform: release.Platform{OS: "linux", Arch: "amd64"}, Version: v, Installed: v, Digest: release.Digest{9},
				Floor: st.Floor, Seed: []byte("seed"), Quarantine: st.Quarantine, failures: st.Failures,
				free: func() (uint64, error) { return 1 << 30, nil },
			}
			choice, err := Choose(test.offers, h, test.request, now)
			c, stop := choice.Candidate, choice.Stop
			var e *Error
			if errors.As(err, &e) != (test.err != "") || e != nil && e.Reason != test.err {
				t.Fatalf("error %v, want reason %q", err, test.err)
			}
			if c.Version.String() != test.want {
				t.Errorf("chose %q, want %q", c.Version, test.want)
			}
			if got := stop; (got == nil) != (test.stop == "") || got != nil && got.Reason != test.stop {
				t.Errorf("stop %v, want %q", got, test.stop)
			}
			turn := ""
			if t := choice.Turn; t != nil {
				if turn = t.Version + " never"; !t.At.IsZero() {
					turn = fmt.Sprint(t.Version, " ", t.At.Hour())
				}
			}
			if turn != test.turn {
				t.Errorf("turn %q, want %q", turn, test.turn)
			}
		})
	}
}

// TestPolicyOrder takes one reason after the other away from a release that has them all: they come in the order of docs/explanation/how-it-works.md.
func TestPolicyOrder(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	c := offered("0.9.0-rc.1", "linux/arm64", 66)
	c.Yanked, c.Halted = &release.Stop{Since: now}, &release.Stop{Since: now}
	c.Minimum = release.MustParseVersion("1.5.0")
	c.Full.Format = "future"
	c.Rollout = &release.Rollout{Salt: "salt", Start: now.Add(time.Hour), Curve: []release.Point{{Seconds: 0, Share: 1}}}
	keepTo, err := release.ParseConstraint(">= 2")
	if err != nil {
		t.Fatal(err)
	}
	st := newState()
	st.blame(build{"2.0.0", c.Digest}, true, time.Minute, now)
	h := Host{
		Platform: release.Platform{OS: "linux", Arch: "amd64"}, Installed: release.MustParseVersion("1.0.0"), Digest: release.Digest{9},
		Channel: "stable", Constraint: keepTo, Hold: &Hold{Since: now}, Seed: []byte("seed"), Owner: &owner.Package{},
		Quarantine: []Quarantined{{Digest: c.Digest, Since: now}}, Windows: []Window{{Start: 13 * time.Hour, Length: time.Hour}},
		failures: st.Failures, free: func() (uint64, error) { return 0, nil },
	}
	for _, step := range []struct {
		reason string
		lift   func()
	}{
		{"held", func() { h.Hold = nil }},
		{"package-owned", func() { h.Owner = nil }},
		{"version-unparsable", func() { h.Version = h.Installed }},
		{"wrong-platform", func() { c.Platform = h.Platform }},
		{"older", func() { c.Version = release.MustParseVersion("1.9.0-rc.1") }},
		{"channel", func() { c.Channel = "stable" }},
		{"constraint", func() { c.Version = release.MustParseVersion("2.0.0-rc.1") }},
		{"yanked", func() { c.Yanked = nil }},
		{"halted", func() { c.Halted = nil }},
		{"stepping-stone", func() { h.Installed, h.Version = c.Minimum, c.Minimum }},
		{"unknown-format", func() { c.Full.Format = release.Raw }},
		{"quarantined", func() { h.Quarantine = nil }},
		{"backing-off", func() { h.failures = nil }},
		{"rollout", func() { c.Critical = true }},
		{"window", func() { h.Windows = nil }},
		{"disk-space", func() { h.free = nil }},
	} {
		v, err := Choose([]Candidate{c}, h, Request{}, now)
		if err != nil || v.Stop == nil || v.Stop.Reason != step.reason {
			t.Fatalf("stopped by %v, %v, want %s", v.Stop, err, step.reason)
		}
		step.lift()
	}
	if v, err := Choose([]Candidate{c}, h, Request{}, now); err != nil || v.Stop != nil {
		t.Errorf("nothing is left, and yet %v, %v", v.Stop, err)
	}
}

// TestPolicyOfWhoAsks: what a person and what force skip, and what nobody does.
func TestPolicyOfWhoAsks(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	byItself, asked, looks, forced := Request{}, Request{Manual: true}, Request{Manual: true, Patient: true}, Request{Manual: true, Force: true}
	all := []Request{byItself, asked, looks, forced}
	keepTo, _ := release.ParseConstraint("< 2")
	for _, tc := range []struct {
		reason string
		stop   func(*Candidate, *Host)
		passes []Request
	}{
		{"held", func(_ *Candidate, h *Host) { h.Hold = &Hold{Since: now, Until: now.Add(time.Hour)} }, []Request{forced}},
		{"", func(_ *Candidate, h *Host) { h.Hold = &Hold{Since: now, Until: now} }, all},
		{"quarantined", func(c *Candidate, h *Host) { h.Quarantine = []Quarantined{{Digest: c.Digest}} }, []Request{forced}},
		{"halted", func(c *Candidate, _ *Host) { c.Halted = &release.Stop{} }, []Request{forced}},
		{"package-owned", func(_ *Candidate, h *Host) { h.Owner = &owner.Package{} }, nil},
		{"yanked", func(c *Candidate, _ *Host) { c.Yanked = &release.Stop{} }, nil},
		{"constraint", func(_ *Candidate, h *Host) { h.Constraint = keepTo }, nil},
		{"channel", func(c *Candidate, _ *Host) { c.Channel = "beta" }, nil},
		{"stepping-stone", func(c *Candidate, _ *Host) { c.Minimum = c.Version }, nil},
		{"wrong-platform", func(c *Candidate, _ *Host) { c.Platform.OS = "plan9" }, nil},
		{"window", func(c *Candidate, h *Host) { h.Windows = []Window{{Start: 13 * time.Hour, Length: time.Hour}} }, []Request{asked, forced}},
		{"window", func(c *Candidate, h *Host) {
			c.Critical, h.Windows = true, []Window{{Start: 13 * time.Hour, Length: time.Hour}}
		}, []Request{asked, forced}},
		{"", func(_ *Candidate, h *Host) { h.Windows = []Window{{Start: 11 * time.Hour, Length: 2 * time.Hour}} }, all},
		{"rollout", func(c *Candidate, _ *Host) {
			c.Rollout = &release.Rollout{Salt: "salt", Start: now.Add(time.Hour), Curve: []release.Point{{Seconds: 0, Share: 1}}}
		}, []Request{asked, forced}},
	} {
		for _, r := range all {
			c := offered("2.0.0", "linux/amd64", 2)
			h := Host{Platform: c.Platform, Version: release.MustParseVersion("1.0.0"), Installed: release.MustParseVersion("1.0.0"),
				Digest: release.Digest{1}, Channel: "stable", Seed: []byte("seed")}
			tc.stop(&c, &h)
			v, err := Choose([]Candidate{c}, h, r, now)
			got := ""
			if v.Stop != nil {
				got = v.Stop.Reason
			}
			want := tc.reason
			if slices.ContainsFunc(tc.passes, func(p Request) bool { return p.Manual == r.Manual && p.Patient == r.Patient && p.Force == r.Force }) {
				want = ""
			}
			if err != nil || got != want {
				t.Errorf("%+v: stopped by %q, %v, want %q", r, got, err, want)
			}
			if wait := got == "held" || got == "window"; wait == v.Again.IsZero() || wait && v.Again.Hour() != 13 {
				t.Errorf("%+v, %q: again at %v", r, got, v.Again)
			}
		}
	}
}

// What is outside of the channel or the constraint does not hide what is inside.
func TestPolicyPassesOver(t *testing.T) {
	const host = "linux/amd64"
	keepTo, _ := release.ParseConstraint("< 2")
	h := Host{Platform: release.Platform{OS: "linux", Arch: "amd64"}, Version: release.MustParseVersion("1.0.0"), Installed: release.MustParseVersion("1.0.0"),
		Digest: release.Digest{9}, Channel: "stable", Constraint: keepTo}
	offers := []Candidate{offered("2.1.0", host, 4), offered("1.4.0-rc.1", host, 3), offered("1.3.0", host, 2), offered("1.2.0", host, 1)}
	for _, tc := range []struct{ channel, want string }{{"stable", "1.3.0"}, {"beta", "1.4.0-rc.1"}, {"", "1.4.0-rc.1"}} {
		h.Channel = tc.channel
		if v, err := Choose(offers, h, Request{}, time.Now()); err != nil || v.Stop != nil || v.Candidate.Version.String() != tc.want {
			t.Errorf("channel %q: %v, %v, %v, want %s", tc.channel, v.Candidate.Version, v.Stop, err, tc.want)
		}
	}
	// A pre-release of which nothing is to be had here is no reason to say anything but "current".
	h.Channel, h.Constraint, h.Digest = "stable", release.Constraint{}, release.Digest{2}
	if v, err := Choose(offers[1:], h, Request{}, time.Now()); err != nil || v.Stop != nil || v.Candidate.Digest != h.Digest {
		t.Errorf("current in its channel: %v, %v, %v", v.Candidate.Version, v.Stop, err)
	}
	h.Digest = release.Digest{9}
	// Who runs a pre-release goes on to the release.
	h.Channel, h.Constraint, h.Installed = "stable", release.Constraint{}, release.MustParseVersion("1.3.0-rc.9")
	if v, _ := Choose(offers[2:], h, Request{}, time.Now()); v.Stop != nil || v.Candidate.Version.String() != "1.3.0" {
		t.Errorf("from a pre-release: %v, %v", v.Candidate.Version, v.Stop)
	}
}

// An archive is offered without the digest of what is in it: the version that is installed is current.
func TestPolicyOfUnknownDigest(t *testing.T) {
	h := Host{Platform: release.Platform{OS: "linux", Arch: "amd64"}, Version: release.MustParseVersion("1.0.0"), Installed: release.MustParseVersion("1.0.0"),
		Digest: release.Digest{9}, Hold: &Hold{}}
	if v, _ := Choose([]Candidate{offered("1.0.0", "linux/amd64", 0)}, h, Request{}, time.Now()); v.Stop != nil {
		t.Errorf("the installed version: %v", v.Stop)
	}
	h.Hold = nil
	if v, _ := Choose([]Candidate{offered("1.1.0", "linux/amd64", 0)}, h, Request{}, time.Now()); v.Stop != nil || v.Candidate.Version.String() != "1.1.0" {
		t.Errorf("a newer one: %v, %v", v.Candidate.Version, v.Stop)
	}
}

// TestPolicyWalksStepByStep: a host that was off for long comes to the newest release over every one that must come first.
func TestPolicyWalksStepByStep(t *testing.T) {
	const host = "linux/amd64"
	from := func(c Candidate, minimum string) Candidate { c.Minimum = release.MustParseVersion(minimum); return c }
	offers := []Candidate{offered("1.1.0", host, 1), from(offered("2.0.0", host, 2), "1.1.0"), offered("1.2.0", host, 3),
		from(offered("2.5.0", host, 4), "2.0.0"), from(offered("3.0.0", host, 5), "2.5.0"), from(offered("3.1.0", host, 6), "2.5.0")}
	h := Host{Platform: release.Platform{OS: "linux", Arch: "amd64"}, Version: release.MustParseVersion("1.0.0"), Digest: release.Digest{9}, Channel: "stable"}
	h.Installed = h.Version
	var walk []string
	for range offers {
		v, err := Choose(offers, h, Request{}, time.Now())
		if err != nil || v.Stop != nil {
			t.Fatalf("at %s: %v, %v", h.Installed, v.Stop, err)
		}
		if v.Candidate.Digest == h.Digest {
			break
		}
		h.Installed, h.Version, h.Floor, h.Digest = v.Candidate.Version, v.Candidate.Version, v.Candidate.Version, v.Candidate.Digest
		walk = append(walk, h.Installed.String())
	}
	if got := strings.Join(walk, " "); got != "1.2.0 2.0.0 2.5.0 3.1.0" {
		t.Errorf("walked over %s", got)
	}
}

func TestBackoffDoubles(t *testing.T) {
	now := time.Now()
	st, b := newState(), build{"1.1.0", release.Digest{1}}
	for _, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute} {
		st.blame(b, false, time.Minute, now)
		if got := st.failing(b.Digest).Until.Sub(now); got < want || got > want*5/4 {
			t.Errorf("wait %v, want %v and up to a quarter more", got, want)
		}
	}
	for range 100 {
		st.blame(b, false, 24*time.Hour, now)
	}
	if got := st.failing(b.Digest).Until.Sub(now); got < maxWait || got > maxWait*5/4 {
		t.Errorf("wait %v, want %v and up to a quarter more", got, maxWait)
	}
	if st.quarantined(b.Digest) != nil {
		t.Error("interruptions put a build into quarantine")
	}
}
