package tuf

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/moult-go/moult/release"
)

// PromoteRequest names a version to copy from one channel to another.
type PromoteRequest struct {
	Version release.Version
	From    string // default "beta"
	To      string // default "stable"
	Create  bool   // make the channel To if the feed does not have it
	// Critical, and Minimum if it is set, say of the copy what they say in a PublishRequest; what the version is in From, it
	// is in To as well.
	Critical bool
	Minimum  release.Version
	// Rollout is the curve of a rollout of its own; none: for everybody at once, whatever it is in From. A version that To
	// has already keeps the rollout that it has there.
	Rollout []release.Point
	// Deltas is how many of To's last releases get a delta to this one, as in a PublishRequest.
	Deltas   int
	Progress func(Progress) // as in a PublishRequest
	Force    bool           // also a version that is halted or yanked; it is not in To
	DryRun   bool           // say what would be, and publish nothing
}

// Promote copies a version's entries from one channel to another, on all platforms. No payload is copied; deltas from the last releases of
// the other channel are added. It needs the targets key.
func (r *Repository) Promote(ctx context.Context, q PromoteRequest) (Change, error) {
	if q.From == "" {
		q.From = "beta"
	}
	if q.To == "" {
		q.To = "stable"
	}
	var c Change
	err := r.exclusively(ctx, func() (err error) {
		c, err = r.promote(ctx, q)
		return err
	})
	if err != nil {
		return Change{}, fmt.Errorf("promote %s from %s to %s: %w", q.Version, q.From, q.To, err)
	}
	return c, nil
}

func (r *Repository) promote(ctx context.Context, q PromoteRequest) (Change, error) {
	channels, err := r.checkPromote(q)
	if err != nil {
		return Change{}, err
	}
	sources, err := r.listing(q.Version, q.From)
	if err != nil {
		return Change{}, err
	}
	if err := r.canPublish(); err != nil {
		return Change{}, err
	}
	indexes, err := r.indexesByPath()
	if err != nil {
		return Change{}, err
	}
	fresh := r.newRollout(q.Rollout)
	changed := make(map[string]*release.Index)
	for _, src := range sources {
		path := release.IndexPath(q.To, src.Platform)
		dst := indexes[path]
		if dst == nil {
			dst = &release.Index{Schema: release.IndexSchema, App: r.feed.App, Channel: q.To, Platform: src.Platform}
		}
		if err := r.promoteTo(dst, src, q, fresh); err != nil {
			return Change{}, err
		}
		changed[path] = dst
	}
	if q.DryRun {
		return Change{Releases: r.placed(q.Version, changed), Keys: byTargets}, nil
	}
	if err := r.promoteDeltas(ctx, q, indexes, changed); err != nil {
		return Change{}, err
	}
	done := Change{Releases: r.placed(q.Version, changed), Keys: byTargets}
	files, err := r.indexFiles(changed)
	if err != nil {
		return Change{}, err
	}
	if len(channels) != len(r.feed.Channels) {
		r.feed.Channels = channels
		if files[feedTarget], err = r.feed.marshal(); err != nil {
			return Change{}, err
		}
	}
	return done, r.publishTargets(ctx, files)
}

// promoteTo puts the entry that src has into dst.
func (r *Repository) promoteTo(dst, src *release.Index, q PromoteRequest, fresh *release.Rollout) error {
	rel, err := r.shown(src).Find(q.Version)
	if err != nil {
		return err
	}
	if (rel.Halted != nil || rel.Yanked != nil) && !q.Force {
		return fmt.Errorf("%s: %w", release.IndexPath(src.Channel, src.Platform), ErrStopped)
	}
	rel.Halted, rel.Yanked = nil, nil
	rel.Critical = rel.Critical || q.Critical
	if !q.Minimum.IsZero() {
		rel.Minimum = q.Minimum
	}
	rel.Rollout = fresh
	if old, err := dst.Find(q.Version); err == nil {
		if old.Artifact.SHA256 != rel.Artifact.SHA256 {
			return fmt.Errorf("%s: %w", release.IndexPath(dst.Channel, dst.Platform), ErrConflict)
		}
		if rel.Resumed = max(rel.Resumed, old.Resumed); fresh == nil {
			rel.Rollout = old.Rollout
		}
	}
	return r.admit(dst, rel, q.Force)
}

// checkPromote refuses what cannot be, and returns the channels of the feed with the one that is to be made.
func (r *Repository) checkPromote(q PromoteRequest) ([]string, error) {
	channels := r.Channels()
	if err := r.checkChannel(q.From); err != nil {
		return nil, err
	}
	if q.From == q.To {
		return nil, errors.New("one and the same channel")
	}
	if err := r.checkTerms(q.Version, q.Minimum, q.Rollout); err != nil {
		return nil, err
	}
	if !q.Create || slices.Contains(channels, q.To) {
		return channels, r.checkChannel(q.To)
	}
	channels = append(channels, q.To)
	slices.Sort(channels)
	return channels, release.CheckName("channel", q.To)
}

// checkTerms refuses a minimum that the version itself is below, and a curve that is none.
func (r *Repository) checkTerms(v, minimum release.Version, curve []release.Point) error {
	if minimum.Compare(v) > 0 {
		return fmt.Errorf("minimum version %s is above %s", minimum, v)
	}
	if rollout := r.newRollout(curve); rollout != nil {
		return rollout.Check()
	}
	return nil
}
