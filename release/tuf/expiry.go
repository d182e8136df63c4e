package tuf

import (
	"context"
	"fmt"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Expiry is the end of one role's metadata, and who signs the next.
type Expiry struct {
	Role      string    `json:"role"`
	Version   int64     `json:"version"`
	Expires   time.Time `json:"expires"`
	Keys      []string  `json:"keys"`      // IDs, in hexadecimal
	Threshold int       `json:"threshold"` // how many of them have to sign

	life time.Duration // of the timestamp, where its publisher looks at it
}

// EndsSoon reports whether somebody should have renewed the role by now: 60 days before its end for root, targets and
// brake, 10 for the snapshot. Publishers see the timestamp's end from half of its time on, readers, who do not know how long
// that is, from a day before.
func (e Expiry) EndsSoon(now time.Time) bool {
	const day = 24 * time.Hour
	early := 60 * day
	switch e.Role {
	case metadata.SNAPSHOT:
		early = 10 * day
	case metadata.TIMESTAMP:
		early = day
		if e.life > 0 {
			early = e.life / 2
		}
	}
	return e.Expires.Sub(now) < early
}

// The shortest and the longest time that a timestamp may hold: clocks differ by hours, and a month is a long time to be held
// back.
const (
	minTimestampLife = time.Hour
	maxTimestampLife = 31 * 24 * time.Hour
)

func checkTimestampLife(d time.Duration) error {
	if d < minTimestampLife || d > maxTimestampLife {
		return fmt.Errorf("a timestamp that holds for %s: want %s to %s", d, minTimestampLife, maxTimestampLife)
	}
	return nil
}

// TimestampLife is how long each new timestamp holds.
func (r *Repository) TimestampLife() time.Duration {
	if s := r.feed.TimestampSeconds; s > 0 {
		return time.Duration(s) * time.Second
	}
	return timestampLife
}

// SetTimestampLife changes for how long timestamps hold, from an hour to 31 days: shorter ones let a feed be held back for
// less time, and ask for a shorter timer. It needs the targets key.
func (r *Repository) SetTimestampLife(ctx context.Context, d time.Duration) error {
	err := checkTimestampLife(d)
	if err == nil {
		err = r.exclusively(ctx, func() error {
			r.feed.TimestampSeconds = int64(d / time.Second)
			return r.publishSettings(ctx)
		})
	}
	if err != nil {
		return fmt.Errorf("set the timestamp's life: %w", err)
	}
	return nil
}

// publishSettings signs feed.json again.
func (r *Repository) publishSettings(ctx context.Context) error {
	b, err := r.feed.marshal()
	if err != nil {
		return err
	}
	return r.publishTargets(ctx, map[string][]byte{feedTarget: b})
}
