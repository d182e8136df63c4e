package tuf

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/moult-go/moult/release"
)

// PublishRequest is one version of the application, for one or more platforms.
type PublishRequest struct {
	Version release.Version
	Channel string // default "beta"
	Files   []File
	Notes   string
	// Force allows a version that is not newer than the newest of its channel and platform, and other bytes for a version
	// that some channel has already.
	Force bool
}

// File is an executable to publish.
type File struct {
	Path     string
	Platform release.Platform
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
	var out []release.Release
	changed := make(map[string]*release.Index)
	for _, f := range q.Files {
		path := release.IndexPath(q.Channel, f.Platform)
		ix := indexes[path]
		if ix == nil {
			ix = &release.Index{Schema: release.IndexSchema, App: r.feed.App, Channel: q.Channel, Platform: f.Platform}
		}
		if newest, err := ix.Latest(); err == nil && newest.Version.Compare(q.Version) >= 0 && !q.Force {
			return nil, fmt.Errorf("%s has %s: %w", path, newest.Version, ErrNotNewer)
		}
		artifact, err := r.store(ctx, q.Version, f, func(d release.Digest) error {
			return checkConflict(indexes, q, f.Platform, d)
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		rel := release.Release{Version: q.Version, Published: r.instant(), Notes: q.Notes, Artifact: artifact}
		ix.Put(rel)
		changed[path] = ix
		out = append(out, rel)
	}
	return out, r.publishIndexes(ctx, changed)
}

func (r *Repository) checkRequest(q PublishRequest) error {
	if err := r.canSign(metadata.TARGETS, r.keys.targets); err != nil {
		return err
	}
	if q.Version.IsZero() {
		return errors.New("no version")
	}
	if err := r.checkChannel(q.Channel); err != nil {
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
	all, err := r.Indexes()
	if err != nil {
		return nil, err
	}
	m := make(map[string]*release.Index)
	for _, ix := range all {
		m[release.IndexPath(ix.Channel, ix.Platform)] = ix
	}
	return m, nil
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

// store copies a payload into the repository under the name that its digest gives, unless check refuses that digest.
func (r *Repository) store(ctx context.Context, v release.Version, f File, check func(release.Digest) error) (release.Artifact, error) {
	name := r.feed.App + "-" + f.Platform.FileName()
	if f.Platform.OS == "windows" {
		name += ".exe"
	}
	// "+" is a space to some object stores.
	a := release.Artifact{Path: strings.ReplaceAll(v.String(), "+", "~") + "/" + name}
	src, err := os.Open(f.Path)
	if err != nil {
		return a, err
	}
	defer src.Close()
	dst, err := newPending(filepath.Dir(r.targetPath(a.Path, release.Digest{})))
	if err != nil {
		return a, err
	}
	defer dst.discard()
	h := sha256.New()
	if a.Length, err = io.Copy(io.MultiWriter(dst, h), contextReader{ctx, src}); err != nil {
		return a, err
	}
	a.SHA256 = release.Digest(h.Sum(nil))
	if err := errors.Join(a.Check(), check(a.SHA256)); err != nil {
		return a, err
	}
	return a, r.reveal(dst, r.targetPath(a.Path, a.SHA256))
}

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

// Refresh signs the timestamp again, and snapshot and targets when half of their time is over (targets only if its key
// is there). It is to be run on a timer.
func (r *Repository) Refresh(ctx context.Context) error {
	err := r.exclusively(ctx, func() error {
		if r.keys.targets != nil && r.due(r.trusted.Targets[metadata.TARGETS].Signed.Expires, targetsLife) {
			return r.publishTargets(ctx, nil)
		}
		if r.due(r.trusted.Snapshot.Signed.Expires, snapshotLife) {
			return r.publishSnapshot(ctx)
		}
		return r.publishTimestamp(ctx)
	})
	if err != nil {
		return fmt.Errorf("refresh: %w", err)
	}
	return nil
}

func (r *Repository) due(expires time.Time, life time.Duration) bool {
	return expires.Sub(r.now()) < life/2
}

func (r *Repository) publishIndexes(ctx context.Context, changed map[string]*release.Index) error {
	files := make(map[string][]byte)
	for path, ix := range changed {
		b, err := ix.Marshal()
		if err != nil {
			return err
		}
		if len(b) > release.MaxIndexSize {
			return fmt.Errorf("index %s: %d bytes: %w", path, len(b), ErrOversized)
		}
		files[path] = b
	}
	return r.publishTargets(ctx, files)
}

// publishTargets writes the changed targets, then targets, snapshot and timestamp metadata, in that order. Only the last
// step shows any of it to a reader.
func (r *Repository) publishTargets(ctx context.Context, changed map[string][]byte) error {
	m := r.trusted.Targets[metadata.TARGETS]
	for _, path := range slices.Sorted(maps.Keys(changed)) {
		b := changed[path]
		d := release.Digest(sha256.Sum256(b))
		if err := r.writeFile(ctx, r.targetPath(path, d), b); err != nil {
			return err
		}
		m.Signed.Targets[path] = &metadata.TargetFiles{Length: int64(len(b)), Hashes: metadata.Hashes{"sha256": d[:]}, Path: path}
	}
	m.Signed.Version++
	m.Signed.Expires = r.expiry(targetsLife)
	meta, err := signAndWrite(ctx, r, m, metadata.TARGETS, r.keys.targets, versioned(m.Signed.Version, metadata.TARGETS), m.Signed.Version)
	if err != nil {
		return err
	}
	r.trusted.Snapshot.Signed.Meta["targets.json"] = meta
	return r.publishSnapshot(ctx)
}

func (r *Repository) publishSnapshot(ctx context.Context) error {
	m := r.trusted.Snapshot
	m.Signed.Version++
	m.Signed.Expires = r.expiry(snapshotLife)
	meta, err := signAndWrite(ctx, r, m, metadata.SNAPSHOT, r.keys.online, versioned(m.Signed.Version, metadata.SNAPSHOT), m.Signed.Version)
	if err != nil {
		return err
	}
	r.trusted.Timestamp.Signed.Meta["snapshot.json"] = meta
	return r.publishTimestamp(ctx)
}

func (r *Repository) publishTimestamp(ctx context.Context) error {
	m := r.trusted.Timestamp
	m.Signed.Version++
	m.Signed.Expires = r.expiry(timestampLife)
	_, err := signAndWrite(ctx, r, m, metadata.TIMESTAMP, r.keys.online, "timestamp.json", m.Signed.Version)
	return err
}

// signAndWrite publishes one metadata file and returns how the next role vouches for it.
func signAndWrite[T metadata.Roles](ctx context.Context, r *Repository, m *metadata.Metadata[T], role string, k *key, name string, version int64) (*metadata.MetaFiles, error) {
	if err := r.canSign(role, k); err != nil {
		return nil, err
	}
	b, err := sign(m, k)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", role, err)
	}
	d := sha256.Sum256(b)
	meta := &metadata.MetaFiles{Length: int64(len(b)), Hashes: metadata.Hashes{"sha256": d[:]}, Version: version}
	return meta, r.writeFile(ctx, r.metadataPath(name), b)
}

func (r *Repository) canSign(role string, k *key) error {
	if k == nil {
		return fmt.Errorf("sign %s: %w in %s", role, ErrNoKey, r.keyDir)
	}
	id, err := k.public.ID()
	if err != nil {
		return err
	}
	if !slices.Contains(r.trusted.Root.Signed.Roles[role].KeyIDs, id) {
		return fmt.Errorf("sign %s: the root trusts another key than the one in %s: %w", role, r.keyDir, ErrNoKey)
	}
	return nil
}

func (r *Repository) writeFile(ctx context.Context, path string, b []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p, err := newPending(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer p.discard()
	if _, err := p.Write(b); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return r.reveal(p, path)
}

// reveal is the only place where a file of a publication becomes visible.
func (r *Repository) reveal(p *pending, path string) error {
	if r.beforeWrite != nil {
		if err := r.beforeWrite(path); err != nil {
			return err
		}
	}
	return p.publish(path)
}

func (r *Repository) instant() time.Time { return r.now().UTC().Truncate(time.Second) }

func (r *Repository) expiry(life time.Duration) time.Time { return r.instant().Add(life) }

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
