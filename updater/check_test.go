package updater

import (
	"errors"
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
	tests := []struct {
		name    string
		version string // running; default 1.0.0
		floor   string
		offers  []Candidate
		request Request
		want    string // version chosen
		stop    string // reason; "" for none
		err     string // reason
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
			p := policy{
				host: release.Platform{OS: "linux", Arch: "amd64"}, version: v, current: build{running, release.Digest{9}},
				state: st, now: now, free: func() (uint64, error) { return 1 << 30, nil },
			}
			c, stop, err := p.choose(test.offers, test.request)
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
