package updater

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestSchedule: every wait stays in its bounds and is spread over them.
func TestSchedule(t *testing.T) {
	s := Schedule{Interval: 6 * time.Hour}
	r := rand.New(rand.NewPCG(1, 2))
	const hour, minute = time.Hour, time.Minute
	for _, c := range []struct {
		name        string
		draw        func() time.Duration
		least, most time.Duration
	}{
		{"first", func() time.Duration { return s.First(r) }, 0, 6 * hour},
		{"next", func() time.Duration { return s.next(r) }, 324 * minute, 396 * minute},
		{"first retry", func() time.Duration { return s.retry(r, 1) }, 0, minute},
		{"third retry", func() time.Duration { return s.retry(r, 3) }, 0, 4 * minute},
		{"hundredth retry", func() time.Duration { return s.retry(r, 100) }, 0, 6 * hour},
		{"turn", func() time.Duration { return s.turn(r, hour) }, hour, hour + 36*minute},
		{"window of a night", func() time.Duration { return s.opening(r, hour, 8*hour) }, hour, hour + 36*minute},
		{"window of some minutes", func() time.Duration { return s.opening(r, hour, 10*minute) }, hour, hour + 5*minute},
		{"turn that was", func() time.Duration { return s.turn(r, -hour) }, 0, 37 * minute},
	} {
		var all []time.Duration
		for range 2000 {
			all = append(all, c.draw())
		}
		least, most := slices.Min(all), slices.Max(all)
		tenth := (c.most - c.least) / 10
		if least < c.least || most > c.most || least > c.least+tenth || most < c.most-tenth {
			t.Errorf("%s: %v to %v, want %v to %v", c.name, least, most, c.least, c.most)
		}
	}
	if d := (Schedule{Interval: 1}).retry(r, 5); d < leastWait {
		t.Errorf("a retry after %v", d)
	}
}
