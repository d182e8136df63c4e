package tuf

import (
	"context"
	"errors"
	"fmt"

	"github.com/moult-go/moult/release"
)

// Promote copies a version's entries from one channel to another, on all platforms, and returns the number of
// platforms. No payload is copied.
func (r *Repository) Promote(ctx context.Context, v release.Version, from, to string) (int, error) {
	n := 0
	err := r.exclusively(ctx, func() (err error) {
		n, err = r.promote(ctx, v, from, to)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("promote %s from %s to %s: %w", v, from, to, err)
	}
	return n, nil
}

func (r *Repository) promote(ctx context.Context, v release.Version, from, to string) (int, error) {
	if err := errors.Join(r.checkChannel(from), r.checkChannel(to)); err != nil {
		return 0, err
	}
	if from == to {
		return 0, errors.New("one and the same channel")
	}
	indexes, err := r.indexesByPath()
	if err != nil {
		return 0, err
	}
	changed := make(map[string]*release.Index)
	for _, src := range indexes {
		rel, err := src.Find(v)
		if src.Channel != from || err != nil {
			continue
		}
		path := release.IndexPath(to, src.Platform)
		dst := indexes[path]
		if dst == nil {
			dst = &release.Index{Schema: release.IndexSchema, App: r.feed.App, Channel: to, Platform: src.Platform}
		}
		if old, err := dst.Find(v); err == nil && old.Artifact.SHA256 != rel.Artifact.SHA256 {
			return 0, fmt.Errorf("%s: %w", path, ErrConflict)
		}
		dst.Put(rel)
		changed[path] = dst
	}
	if len(changed) == 0 {
		return 0, release.ErrNoRelease
	}
	return len(changed), r.publishIndexes(ctx, changed)
}
