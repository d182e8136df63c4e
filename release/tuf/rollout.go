package tuf

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/moult-go/moult/release"
)

// RolloutRequest says how a release that is published is handed out.
type RolloutRequest struct {
	Version release.Version
	Channel string // "" if only one channel has the version
	// Curve is that of release.Rollout. A rollout that runs keeps its start and its salt, so that hosts whose turn has
	// come keep it; that of a release that everybody could have begins now.
	Curve   []release.Point
	Restart bool // the curve begins now
	NewSalt bool // it begins now, with other hosts first
	DryRun  bool // say what would be, and publish nothing
}

// Rollout sets or changes the rollout of a release. It needs the targets key.
func (r *Repository) Rollout(ctx context.Context, q RolloutRequest) (Change, error) {
	var c Change
	err := r.exclusively(ctx, func() (err error) {
		c, err = r.rollout(ctx, q)
		return err
	})
	if err != nil {
		return Change{}, fmt.Errorf("roll out %s: %w", q.Version, err)
	}
	return c, nil
}

func (r *Repository) rollout(ctx context.Context, q RolloutRequest) (Change, error) {
	if len(q.Curve) == 0 {
		return Change{}, errors.New("no curve")
	}
	indexes, err := r.listing(q.Version, q.Channel)
	if err != nil {
		return Change{}, err
	}
	if err := oneChannel(indexes); err != nil {
		return Change{}, err
	}
	if err := r.canPublish(); err != nil {
		return Change{}, err
	}
	fresh := r.newRollout(q.Curve)
	change(indexes, q.Version, func(_ *release.Index, rel *release.Release) {
		next := *fresh
		if old := rel.Rollout; old != nil && !q.NewSalt {
			next.Salt = old.Salt
			if !q.Restart {
				next.Start = old.Start
			}
		}
		rel.Rollout = &next
	})
	done := Change{Releases: r.placed(q.Version, indexes), Keys: byTargets}
	if err := fresh.Check(); err != nil || q.DryRun {
		return done, err
	}
	return done, r.publishIndexes(ctx, indexes)
}

// newRollout begins now with a salt of its own; nil for no curve. It is one for all platforms of a release.
func (r *Repository) newRollout(curve []release.Point) *release.Rollout {
	if len(curve) == 0 {
		return nil
	}
	salt := make([]byte, 16)
	rand.Read(salt)
	return &release.Rollout{Salt: hex.EncodeToString(salt), Start: r.instant(), Curve: slices.Clone(curve)}
}

// oneChannel refuses indexes of several channels: a rollout is meant for one.
func oneChannel(indexes map[string]*release.Index) error {
	var names []string
	for _, ix := range indexes {
		if !slices.Contains(names, ix.Channel) {
			names = append(names, ix.Channel)
		}
	}
	if len(names) > 1 {
		slices.Sort(names)
		return fmt.Errorf("%w: %s", ErrSeveralChannels, strings.Join(names, ", "))
	}
	return nil
}
