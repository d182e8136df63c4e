package release

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func after(d time.Duration) time.Time { return start.Add(d) }

// staircase is 1 % at once, 10 % after an hour, everybody after a day.
var staircase = []Point{{0, 0.01}, {3600, 0.01}, {3600, 0.1}, {86400, 0.1}, {86400, 1}}

func TestRolloutShare(t *testing.T) {
	for _, c := range []struct {
		name  string
		curve []Point
		at    time.Duration
		want  float64
	}{
		{"before it starts", staircase, -time.Second, 0},
		{"at once", staircase, 0, 0.01},
		{"on the first step", staircase, 59 * time.Minute, 0.01},
		{"at the second", staircase, time.Hour, 0.1},
		{"at the end", staircase, 24 * time.Hour, 1},
		{"long after", staircase, 1e4 * time.Hour, 1},
		{"a ramp, half way", []Point{{0, 0}, {3600, 1}}, 30 * time.Minute, 0.5},
		{"a ramp that begins late", []Point{{1800, 0}, {3600, 1}}, 15 * time.Minute, 0},
		{"one that ends below all", []Point{{0, 0.25}}, time.Hour, 0.25},
	} {
		r := &Rollout{Salt: "s", Start: start, Curve: c.curve}
		if err := r.Check(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := r.Share(after(c.at)); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: share %v, want %v", c.name, got, c.want)
		}
	}
}

func seedOf(i int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(i)) }

// TestRolloutSlots: at any instant the hosts whose slot has come are the share that the curve names.
func TestRolloutSlots(t *testing.T) {
	const hosts = 20000
	for _, curve := range [][]Point{staircase, {{0, 0}, {7200, 1}}, {{600, 0.2}, {1200, 0.2}, {2400, 0.6}}} {
		r := &Rollout{Salt: "salt", Start: start, Curve: curve}
		for _, at := range []time.Duration{-time.Minute, time.Second, 10 * time.Minute, 45 * time.Minute, 2 * time.Hour, 25 * time.Hour} {
			have := 0
			for i := range hosts {
				if slot, ok := r.Slot(seedOf(i)); ok && !slot.After(after(at)) {
					have++
				}
			}
			if got, want := float64(have)/hosts, r.Share(after(at)); math.Abs(got-want) > 0.012 {
				t.Errorf("%v after %s: %.4f of the hosts, want %.4f", curve, at, got, want)
			}
		}
	}
}

// TestRolloutSaltsDiffer: who is first under one salt is not first under another.
func TestRolloutSaltsDiffer(t *testing.T) {
	a := &Rollout{Salt: "a", Start: start, Curve: []Point{{0, 0.1}}}
	b := &Rollout{Salt: "b", Start: start, Curve: []Point{{0, 0.1}}}
	both := 0
	for i := range 10000 {
		_, inA := a.Slot(seedOf(i))
		_, inB := b.Slot(seedOf(i))
		if inA && inB {
			both++
		}
	}
	if both < 50 || both > 160 { // 1 % of the hosts, not 10 %
		t.Errorf("%d of 10000 hosts are first under both salts", both)
	}
}

// Nobody is the canary for ever, and nobody never: over many releases each host is among the first twentieth about as often as chance has it.
func TestRolloutNobodyIsAlwaysFirst(t *testing.T) {
	const hosts, salts = 300, 1000
	r := Rollout{Start: start, Curve: []Point{{Seconds: 0, Share: 0.05}}}
	var first [hosts]int
	for s := range salts {
		r.Salt = fmt.Sprint("release ", s)
		for h := range hosts {
			if _, ok := r.Slot(seedOf(h)); ok {
				first[h]++
			}
		}
	}
	// 50 each is the mean and 6.9 the deviation; five of those are not reached by chance.
	for h, n := range first {
		if n < 15 || n > 85 {
			t.Errorf("host %d is among the first in %d of %d releases, want about 50", h, n, salts)
		}
	}
}

func TestRolloutRefuses(t *testing.T) {
	for name, r := range map[string]*Rollout{
		"no salt":       {Start: start, Curve: staircase},
		"no start":      {Salt: "s", Curve: staircase},
		"no curve":      {Salt: "s", Start: start},
		"too many":      {Salt: "s", Start: start, Curve: make([]Point, maxPoints+1)},
		"over all":      {Salt: "s", Start: start, Curve: []Point{{0, 1.1}}},
		"below nothing": {Salt: "s", Start: start, Curve: []Point{{0, -0.1}}},
		"no number":     {Salt: "s", Start: start, Curve: []Point{{0, math.NaN()}}},
		"before it":     {Salt: "s", Start: start, Curve: []Point{{-1, 0.1}}},
		"overflows":     {Salt: "s", Start: start, Curve: []Point{{math.MaxInt64, 0.1}}},
		"falls":         {Salt: "s", Start: start, Curve: []Point{{0, 0.5}, {60, 0.4}}},
		"goes back":     {Salt: "s", Start: start, Curve: []Point{{60, 0.1}, {0, 0.4}}},
		"a long salt":   {Salt: string(make([]byte, maxSalt+1)), Start: start, Curve: staircase},
	} {
		if err := r.Check(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzRollout: whatever curve is signed, shares lie between 0 and 1 and never fall, and a host's turn is the instant at which the share
// passes its place.
func FuzzRollout(f *testing.F) {
	f.Add([]byte(`{"salt":"a","start":"2026-01-01T00:00:00Z","curve":[{"seconds":0,"share":0.01},{"seconds":3600,"share":1}]}`), []byte("seed"), int64(60))
	f.Add([]byte(`{"salt":"b","start":"0001-01-02T00:00:00Z","curve":[{"seconds":5,"share":0},{"seconds":5,"share":0.5}]}`), []byte{}, int64(-1))
	f.Fuzz(func(t *testing.T, b, seed []byte, after int64) {
		var r Rollout
		if json.Unmarshal(b, &r) != nil || r.Check() != nil {
			return
		}
		at := r.Start.Add(time.Duration(after%(2*maxCurve)) * time.Second)
		now, later := r.Share(at), r.Share(at.Add(time.Hour))
		if !(now >= 0 && later <= 1 && now <= later) {
			t.Errorf("share %v, an hour later %v", now, later)
		}
		slot, ever := r.Slot(seed)
		if last := r.Curve[len(r.Curve)-1].Share; ever != (r.place(seed) < last) {
			t.Errorf("place %v of a curve that ends at %v: %t", r.place(seed), last, ever)
		}
		if ever && (slot.Before(r.Start) || r.Share(slot.Add(time.Second)) < r.place(seed)) {
			t.Errorf("place %v, turn %s after the start, where the share is %v", r.place(seed), slot.Sub(r.Start), r.Share(slot))
		}
	})
}
