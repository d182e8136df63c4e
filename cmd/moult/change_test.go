package main

import (
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
)

func TestStandingNamesWhatIsToCome(t *testing.T) {
	curve, err := parseCurve("steps:1%@0h,10%@6h,100%@1d")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.Local)
	r := &release.Rollout{Salt: "x", Start: start, Curve: curve}
	for after, want := range map[time.Duration]string{
		time.Hour:      "1 % of the hosts may have it now, 10 % at 2026-11-01 06:00, 100 % at 2026-11-02 00:00",
		7 * time.Hour:  "10 % of the hosts may have it now, 100 % at 2026-11-02 00:00",
		48 * time.Hour: "100 % of the hosts may have it now",
	} {
		now := start.Add(after)
		s := standing{Rollout: r, Share: r.Share(now)}
		if got := s.text(now); got != want {
			t.Errorf("after %v: %q, want %q", after, got, want)
		}
	}
	for want, s := range map[string]standing{
		"every host may have it":         {Share: 1},
		"critical; every host may have":  {Share: 0.1, Rollout: r, Critical: true},
		"halted: x; no other host takes": {Halted: &release.Stop{Reason: "x"}, Rollout: r},
	} {
		if got := s.text(start); !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
