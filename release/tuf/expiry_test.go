package tuf

import (
	"context"
	"testing"
	"time"
)

func TestTimestampLife(t *testing.T) {
	f := newFeed(t)
	ctx := context.Background()
	left := func() time.Duration {
		r, err := Inspect(f.repo.dir, f.root)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range r.Expiries() {
			if e.Role == "timestamp" {
				if e.EndsSoon(time.Now()) || !e.EndsSoon(e.Expires.Add(-r.TimestampLife()/2+time.Minute)) {
					t.Errorf("with a life of %s its end is near at another time than half of it", r.TimestampLife())
				}
				return time.Until(e.Expires)
			}
		}
		return 0
	}
	about := func(got, want time.Duration) bool { return got > want-time.Minute && got <= want }
	if got := left(); !about(got, timestampLife) {
		t.Errorf("at first it holds for %s", got)
	}
	if err := f.repo.SetTimestampLife(ctx, 72*time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := left(); !about(got, 72*time.Hour) {
		t.Errorf("after the change it holds for %s", got)
	}
	f.publish("1.0.0", "beta", "one") // keeps to it
	if got := left(); !about(got, 72*time.Hour) {
		t.Errorf("after a release it holds for %s", got)
	}
	wantNewest(t, f.client(t.TempDir()), "beta", "1.0.0")
	for _, d := range []time.Duration{0, -time.Hour, time.Minute, 32 * 24 * time.Hour} {
		if err := f.repo.SetTimestampLife(ctx, d); err == nil {
			t.Errorf("%s: accepted", d)
		}
	}
}

func TestEndsSoon(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Now()
	for _, c := range []struct {
		role string
		life time.Duration
		left time.Duration
		want bool
	}{
		{"root", 0, 61 * day, false}, {"root", 0, 59 * day, true},
		{"targets", 0, 61 * day, false}, {"targets", 0, 59 * day, true},
		{"brake", 0, 61 * day, false}, {"brake", 0, 59 * day, true},
		{"snapshot", 0, 11 * day, false}, {"snapshot", 0, 9 * day, true},
		{"timestamp", 0, 25 * time.Hour, false}, {"timestamp", 0, 23 * time.Hour, true},
		{"timestamp", 14 * day, 8 * day, false}, {"timestamp", 14 * day, 6 * day, true},
		{"timestamp", 14 * day, -day, true},
	} {
		if got := (Expiry{Role: c.role, Expires: now.Add(c.left), life: c.life}).EndsSoon(now); got != c.want {
			t.Errorf("%s with %s left of %s: %v", c.role, c.left, c.life, got)
		}
	}
}
