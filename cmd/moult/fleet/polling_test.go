package fleet

import (
	"math"
	"testing"
	"time"
)

var testCost = Cost{Up: 1000, Down: 2000, Signed: 1500}

func day6h(start Start) Polling {
	return Polling{Fleet: fleetOf(6 * time.Hour), Start: start, Refresh: 48 * time.Hour, Cost: testCost}
}

// run leaves out what nobody would want to read.
func run(p Polling) (s Polled, perSecond []int32) {
	s = p.Run()
	perSecond, s.seconds = s.seconds, nil
	return s, perSecond
}

func near(got, want, part float64) bool { return math.Abs(got-want) <= part*want }

func TestPolling(t *testing.T) {
	p := day6h(Settled)
	p.MaxAge = 5 * time.Minute
	s, seconds := run(p)
	if !near(float64(s.Checks), 4*hosts, 0.01) || s.Requests != 2*s.Checks || s.NotModified != 1 || s.Up != 1000*s.Checks || s.Down != 2000*s.Checks {
		t.Errorf("a day: %+v", s)
	}
	// 200 hosts share a copy, so its file is asked for every 108 s; one of those requests in 5 min and 108 s finds it too old.
	if want := 1 - 108.0/(300+108); !near(s.Hits, want, 0.02) {
		t.Errorf("hits %.3f, want %.3f", s.Hits, want)
	}
	var total int64
	for _, n := range seconds {
		total += int64(n)
	}
	if total != s.Requests {
		t.Errorf("%d requests over the day, %d in all", total, s.Requests)
	}
	p.MaxAge = 0
	if s, _ := run(p); s.Hits != 0 || s.OriginMax != s.PerSecond.Max {
		t.Errorf("no copies: %+v", s)
	}
	// Signed again in the middle of the day: everybody fetches it once.
	p.Refresh = 24 * time.Hour
	if s, _ := run(p); !near(float64(s.Checks)*(1-s.NotModified), hosts, 0.01) || !near(float64(s.Down), float64(2000*s.Checks+1500*hosts), 0.001) {
		t.Errorf("signed again: %+v", s)
	}
}

// TestStampede: what jitter is for.
func TestStampede(t *testing.T) {
	mean := 2.0 * 4 * hosts / day
	settled, _ := run(day6h(Settled))
	restarted, _ := run(day6h(Restarted))
	aligned, _ := run(day6h(Aligned))
	for _, s := range []Polled{settled, restarted} {
		if max := float64(s.PerSecond.Max); max > 12*mean || max < 2*mean {
			t.Errorf("%s: at most %.0f requests in a second, on average %.1f", s.Start, max, mean)
		}
	}
	if aligned.PerSecond.Max < hosts/2 || aligned.PerSecond.P50 != 0 {
		t.Errorf("without jitter: %+v", aligned.PerSecond)
	}
}
