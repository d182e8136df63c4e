package tuf

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/moult-go/moult/release"
)

// Refresh signs the timestamp again, and snapshot, brake and targets when half of their time is over (targets only if its key
// is there). It is to be run on a timer.
func (r *Repository) Refresh(ctx context.Context) error {
	err := r.exclusively(ctx, func() error {
		if len(r.keys.Targets) > 0 && r.due(r.trusted.Targets[metadata.TARGETS].Signed.Expires, targetsLife) {
			return r.publishTargets(ctx, nil)
		}
		if b := r.trusted.Targets[brakeRole]; b != nil && r.due(b.Signed.Expires, brakeLife) && r.canSign(brakeRole) {
			return r.publishBrake(ctx)
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
	files, err := r.indexFiles(changed)
	if err != nil {
		return err
	}
	return r.publishTargets(ctx, files)
}

// indexFiles writes indexes as the targets that they are, and compacts the brake for them.
func (r *Repository) indexFiles(changed map[string]*release.Index) (map[string][]byte, error) {
	files := make(map[string][]byte)
	for path, ix := range changed {
		b, err := ix.Marshal()
		if err != nil {
			return nil, err
		}
		if len(b) > release.MaxIndexSize {
			return nil, fmt.Errorf("index %s: %d bytes: %w", path, len(b), ErrOversized)
		}
		files[path] = b
	}
	all, err := r.indexesByPath()
	if err != nil {
		return nil, err
	}
	maps.Copy(all, changed)
	r.compactBrake(all)
	return files, nil
}

// publishTargets writes the changed targets, then targets, snapshot and timestamp metadata, in that order. Only the last
// step shows any of it to a reader. The brake is delegated, or signed again, where that is due.
func (r *Repository) publishTargets(ctx context.Context, changed map[string][]byte) error {
	m := r.trusted.Targets[metadata.TARGETS]
	if _, err := r.signers(metadata.TARGETS); err != nil {
		return err
	}
	delegated := r.delegateBrake()
	stale, err := r.brakeIsStale()
	if err != nil {
		return err
	}
	if delegated || stale {
		if err := r.writeBrake(ctx); err != nil {
			return err
		}
	}
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
	meta, err := signAndWrite(ctx, r, m, metadata.TARGETS, versioned(m.Signed.Version, metadata.TARGETS), m.Signed.Version)
	if err != nil {
		return err
	}
	r.trusted.Snapshot.Signed.Meta["targets.json"] = meta
	return r.publishSnapshot(ctx)
}

// publishBrake writes the brake and has snapshot and timestamp vouch for it: all by the online key.
func (r *Repository) publishBrake(ctx context.Context) error {
	if err := r.writeBrake(ctx); err != nil {
		return err
	}
	return r.publishSnapshot(ctx)
}

func (r *Repository) publishSnapshot(ctx context.Context) error {
	m := r.trusted.Snapshot
	m.Signed.Version++
	m.Signed.Expires = r.expiry(snapshotLife)
	meta, err := signAndWrite(ctx, r, m, metadata.SNAPSHOT, versioned(m.Signed.Version, metadata.SNAPSHOT), m.Signed.Version)
	if err != nil {
		return err
	}
	r.trusted.Timestamp.Signed.Meta["snapshot.json"] = meta
	return r.publishTimestamp(ctx)
}

func (r *Repository) publishTimestamp(ctx context.Context) error {
	m := r.trusted.Timestamp
	m.Signed.Version++
	m.Signed.Expires = r.expiry(r.TimestampLife())
	_, err := signAndWrite(ctx, r, m, metadata.TIMESTAMP, "timestamp.json", m.Signed.Version)
	return err
}

// signAndWrite publishes one metadata file and returns how the next role vouches for it.
func signAndWrite[T metadata.Roles](ctx context.Context, r *Repository, m *metadata.Metadata[T], role, name string, version int64) (*metadata.MetaFiles, error) {
	signers, err := r.signers(role)
	if err != nil {
		return nil, err
	}
	b, err := sign(ctx, m, signers)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", role, err)
	}
	d := sha256.Sum256(b)
	meta := &metadata.MetaFiles{Length: int64(len(b)), Hashes: metadata.Hashes{"sha256": d[:]}, Version: version}
	return meta, r.writeFile(ctx, r.metadataPath(name), b)
}

// signers returns the keys that sign a role's metadata; ErrNoKey if too few of them are at hand.
func (r *Repository) signers(role string) ([]Signer, error) {
	var signers []Signer
	var err error
	if role == brakeRole {
		signers, err = r.brakeSigners()
	} else {
		trust := r.trusted.Root.Signed.Roles[role]
		signers, err = trustedSigners(trust.KeyIDs, trust.Threshold, r.keys.signing(role))
		if err == nil {
			signers, err = r.outgoingSigners(role, signers)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("sign %s, keys in %s: %w", role, r.keyDir, err)
	}
	return signers, nil
}

func (r *Repository) canSign(role string) bool {
	_, err := r.signers(role)
	return err == nil
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
