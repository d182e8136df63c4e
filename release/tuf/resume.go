package tuf

import (
	"context"
	"fmt"
	"time"

	"github.com/moult-go/moult/release"
)

// ResumeRequest names a release that is stopped.
type ResumeRequest struct {
	Version release.Version
	Channel string // "" for every channel
	Yanked  bool   // also if it was yanked
	DryRun  bool   // say what would be, and publish nothing
}

// Resume takes back what Halt did, also for hosts that keep what they once saw of the brake, and Yank if asked to. A rollout goes
// on where it stood when it was stopped. It needs the targets key: the online key can stop, and not let go again.
func (r *Repository) Resume(ctx context.Context, q ResumeRequest) (Change, error) {
	var c Change
	err := r.exclusively(ctx, func() (err error) {
		c, err = r.resume(ctx, q)
		return err
	})
	if err != nil {
		return Change{}, fmt.Errorf("resume %s: %w", q.Version, err)
	}
	return c, nil
}

func (r *Repository) resume(ctx context.Context, q ResumeRequest) (Change, error) {
	indexes, err := r.listing(q.Version, q.Channel)
	if err != nil {
		return Change{}, err
	}
	stopped := make(map[string]*release.Index)
	for _, p := range r.placed(q.Version, indexes) {
		if p.Release.Yanked != nil && !q.Yanked {
			return Change{}, fmt.Errorf("%s: %w", release.IndexPath(p.Channel, p.Platform), ErrYanked)
		}
		if p.Release.Yanked != nil || p.Release.Halted != nil {
			path := release.IndexPath(p.Channel, p.Platform)
			stopped[path] = indexes[path]
		}
	}
	if len(stopped) == 0 {
		return Change{Releases: r.placed(q.Version, indexes)}, nil
	}
	if err := r.canPublish(); err != nil {
		return Change{}, err
	}
	change(stopped, q.Version, func(ix *release.Index, rel *release.Release) {
		was, _ := r.shown(ix).Find(q.Version)
		rel.Resumed = max(rel.Resumed, r.lastEntry(q.Version, ix.Channel))
		rel.Halted, rel.Yanked = nil, nil
		rel.Rollout = r.goOn(was)
	})
	done := Change{Releases: r.placed(q.Version, indexes), Keys: byTargets}
	if q.DryRun {
		return done, nil
	}
	return done, r.publishIndexes(ctx, stopped)
}

// goOn is the rollout of a release that was stopped until now: later by the time that it stood. The brake says since when, and a
// thief may have written it: no more than the time since the start counts.
func (r *Repository) goOn(was release.Release) *release.Rollout {
	if was.Rollout == nil {
		return nil
	}
	now, since := r.instant(), r.instant()
	for _, s := range []*release.Stop{was.Halted, was.Yanked} {
		if s != nil && s.Since.Before(since) {
			since = s.Since
		}
	}
	next := *was.Rollout
	if since.Before(next.Start) {
		since = next.Start
	}
	next.Start = next.Start.Add(max(now.Sub(since), 0).Truncate(time.Second))
	return &next
}
