package tuf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/moult-go/moult/release"
)

// PublishRequest is one version of the application, for one or more platforms.
type PublishRequest struct {
	Version release.Version
	Channel string // default "beta"
	Files   []File
	Notes   string
	// Deltas is how many of the channel's last releases get a delta to this one, beside the newest of an earlier minor version;
	// default DefaultDeltas, none if negative. Those that are not below half of the full payload are left out.
	Deltas int
	// Uncompressed stores the executables as they are. Default: as zstd, where that makes them smaller.
	Uncompressed bool
	// Progress hears how far storing has come; may be nil. It is called by one goroutine at a time and holds it up.
	Progress func(Progress)
	// Critical, Minimum and Rollout are those of release.Release. Rollout is the curve of one that begins now; none: for
	// everybody at once.
	Critical bool
	Minimum  release.Version
	Rollout  []release.Point
	// Force allows a version that is not newer than the newest of its channel and platform, and other bytes for a version
	// that some channel has already; what stopped it so far does then not hold for it.
	Force bool
}

// File is an executable to publish.
type File struct {
	Path     string
	Platform release.Platform
	SHA256   release.Digest // what it must be, as whoever checked it saw it; the zero Digest for anything
	Module   string         // its main module path; "" if it tells none
}

// Publish adds a release to a channel and returns it, one release.Release for each file in the order given. The payloads are
// written first and the timestamp last: a reader sees all of the release or nothing of it.
func (r *Repository) Publish(ctx context.Context, q PublishRequest) ([]release.Release, error) {
	if q.Channel == "" {
		q.Channel = "beta"
	}
	var out []release.Release
	err := r.exclusively(ctx, func() (err error) {
		out, err = r.publish(ctx, q)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("publish %s: %w", q.Version, err)
	}
	return out, nil
}

func (r *Repository) publish(ctx context.Context, q PublishRequest) ([]release.Release, error) {
	if err := r.checkRequest(q); err != nil {
		return nil, err
	}
	indexes, err := r.indexesByPath()
	if err != nil {
		return nil, err
	}
	var to []*release.Index
	for _, f := range q.Files {
		ix := indexes[release.IndexPath(q.Channel, f.Platform)]
		if ix == nil {
			ix = &release.Index{Schema: release.IndexSchema, App: r.feed.App, Channel: q.Channel, Platform: f.Platform}
		}
		if err := checkNewer(ix, q); err != nil {
			return nil, err
		}
		if err := r.checkStopped(ix, release.Release{Version: q.Version}); err != nil && !q.Force {
			return nil, err
		}
		to = append(to, ix)
	}
	artifacts, err := r.storeWithDeltas(ctx, q, indexes, to)
	if err != nil {
		return nil, err
	}
	rollout := r.newRollout(q.Rollout)
	var out []release.Release
	changed := make(map[string]*release.Index)
	for i, ix := range to {
		rel := release.Release{
			Version: q.Version, Published: r.instant(), Notes: q.Notes, Artifact: artifacts[i],
			Minimum: q.Minimum, Critical: q.Critical, Rollout: rollout,
		}
		if err := r.admit(ix, rel, q.Force); err != nil {
			return nil, err
		}
		changed[release.IndexPath(q.Channel, ix.Platform)] = ix
		out = append(out, rel)
	}
	return out, r.publishIndexes(ctx, changed)
}

func (r *Repository) checkRequest(q PublishRequest) error {
	if _, err := r.signers(metadata.TARGETS); err != nil {
		return err
	}
	if q.Version.IsZero() {
		return errors.New("no version")
	}
	if err := r.checkChannel(q.Channel); err != nil {
		return err
	}
	if err := r.checkTerms(q.Version, q.Minimum, q.Rollout); err != nil {
		return err
	}
	if len(q.Files) == 0 {
		return errors.New("no files")
	}
	for i, f := range q.Files {
		if p, err := release.ParsePlatform(f.Platform.String()); err != nil || p != f.Platform {
			return fmt.Errorf("%s: bad platform %q", f.Path, f.Platform)
		}
		if slices.ContainsFunc(q.Files[:i], func(o File) bool { return o.Platform == f.Platform }) {
			return fmt.Errorf("%s: a second file for %s", f.Path, f.Platform)
		}
	}
	return nil
}

func (r *Repository) checkChannel(name string) error {
	if !slices.Contains(r.feed.Channels, name) {
		return fmt.Errorf("%w %q: the feed has %s", ErrUnknownChannel, name, strings.Join(r.feed.Channels, ", "))
	}
	return nil
}

func (r *Repository) indexesByPath() (map[string]*release.Index, error) {
	all, err := r.indexes()
	if err != nil {
		return nil, err
	}
	m := make(map[string]*release.Index)
	for _, ix := range all {
		m[release.IndexPath(ix.Channel, ix.Platform)] = ix
	}
	return m, nil
}

// checkNewer refuses a version that is not newer than the newest of an index; nil is no index yet.
func checkNewer(ix *release.Index, q PublishRequest) error {
	if ix == nil || q.Force {
		return nil
	}
	if newest, err := ix.Latest(); err == nil && newest.Version.Compare(q.Version) >= 0 {
		return fmt.Errorf("%s has %s: %w", release.IndexPath(ix.Channel, ix.Platform), newest.Version, ErrNotNewer)
	}
	return nil
}

// check holds the digest of a file against what it must be, and against what was published of its version.
func (f File) check(indexes map[string]*release.Index, q PublishRequest, d release.Digest) error {
	if !f.SHA256.IsZero() && d != f.SHA256 {
		return fmt.Errorf("sha256 %s instead of %s: %w", d.Short(), f.SHA256.Short(), ErrChanged)
	}
	return checkConflict(indexes, q, f.Platform, d)
}

// checkConflict refuses other bytes for a version that any channel offers already on this platform.
func checkConflict(indexes map[string]*release.Index, q PublishRequest, p release.Platform, d release.Digest) error {
	for path, ix := range indexes {
		if old, err := ix.Find(q.Version); err == nil && ix.Platform == p && old.Artifact.SHA256 != d && !q.Force {
			return fmt.Errorf("%s has %s with sha256 %s: %w", path, q.Version, old.Artifact.SHA256.Short(), ErrConflict)
		}
	}
	return nil
}

// contextReader ends a long copy when its context does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
