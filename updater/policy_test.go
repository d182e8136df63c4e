package updater

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
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

func TestBackoffDoubles(t *testing.T) {
	now := time.Now()
	st, b := newState(), build{"1.1.0", release.Digest{1}}
	for _, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute} {
		st.blame(b, false, time.Minute, now)
		if got := st.failing(b.Digest).Until.Sub(now); got != want {
			t.Errorf("wait %v, want %v", got, want)
		}
	}
	for range 100 {
		st.blame(b, false, 24*time.Hour, now)
	}
	if got := st.failing(b.Digest).Until.Sub(now); got != maxWait {
		t.Errorf("wait %v, want at most %v", got, maxWait)
	}
	if st.quarantined(b.Digest) != nil {
		t.Error("interruptions put a build into quarantine")
	}
}
