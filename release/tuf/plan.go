package tuf

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/moult-go/moult/release"
)

// Plan says whether Publish would take a request, and changes nothing. It returns the indexes that the release would be added to as they are
// now, one for each file in the order given; one that is not there yet has no releases.
func (r *Repository) Plan(ctx context.Context, q PublishRequest) ([]*release.Index, error) {
	if q.Channel == "" {
		q.Channel = "beta"
	}
	var out []*release.Index
	err := r.exclusively(ctx, func() (err error) {
		out, err = r.plan(ctx, q)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("publish %s: %w", q.Version, err)
	}
	return out, nil
}

func (r *Repository) plan(ctx context.Context, q PublishRequest) ([]*release.Index, error) {
	if err := r.checkRequest(q); err != nil {
		return nil, err
	}
	indexes, err := r.indexesByPath()
	if err != nil {
		return nil, err
	}
	var out []*release.Index
	for _, f := range q.Files {
		ix := indexes[release.IndexPath(q.Channel, f.Platform)]
		if err := checkNewer(ix, q); err != nil {
			return nil, err
		}
		if err := planFile(ctx, indexes, q, f); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		if ix == nil {
			ix = &release.Index{Schema: release.IndexSchema, App: r.feed.App, Channel: q.Channel, Platform: f.Platform}
		}
		if err := r.checkStopped(ix, release.Release{Version: q.Version}); err != nil && !q.Force {
			return nil, err
		}
		out = append(out, ix)
	}
	return out, nil
}

func planFile(ctx context.Context, indexes map[string]*release.Index, q PublishRequest, f File) error {
	file, err := os.Open(f.Path)
	if err != nil {
		return err
	}
	defer file.Close()
	d, n, err := release.DigestReader(contextReader{ctx, file})
	if err == nil && n == 0 {
		err = errors.New("it is empty")
	}
	return errors.Join(err, f.check(indexes, q, d))
}
