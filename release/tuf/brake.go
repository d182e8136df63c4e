package tuf

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"github.com/moult-go/moult/release"
)

// brakeRole is the one delegation of a feed: targets delegate release.BrakePath, and nothing else, to the online key. What the
// role lists beside the brake, or delegates further, is never looked at.
const brakeRole = "brake"

// maxBrakeMetadata is the largest metadata file of the brake, in bytes: it lists one file.
const maxBrakeMetadata = 64 << 10

// brakeDelegation returns how targets delegate the brake; nil if they do not, as in a feed that was made before there were
// brakes.
func brakeDelegation(t *trustedmetadata.TrustedMetadata) (*metadata.DelegatedRole, error) {
	d := t.Targets[metadata.TARGETS].Signed.Delegations
	if d == nil {
		return nil, nil
	}
	for i := range d.Roles {
		role := &d.Roles[i]
		if role.Name != brakeRole {
			continue
		}
		if !slices.Contains(role.Paths, release.BrakePath) {
			return nil, fmt.Errorf("%w: targets delegate %q to the role %s, not %s", ErrMalformed, role.Paths, brakeRole, release.BrakePath)
		}
		return role, nil
	}
	return nil, nil
}

// brakeMeta is how the snapshot vouches for the brake's metadata.
func brakeMeta(t *trustedmetadata.TrustedMetadata) (*metadata.MetaFiles, error) {
	m := t.Snapshot.Signed.Meta[brakeRole+".json"]
	switch {
	case m == nil:
		return nil, fmt.Errorf("%w: targets delegate the brake, and the snapshot does not list it", ErrMalformed)
	case m.Length > maxBrakeMetadata:
		return nil, fmt.Errorf("metadata of the brake: %d bytes: %w", m.Length, ErrOversized)
	}
	return m, nil
}

// brakeTarget is the file that the brake's metadata vouches for.
func brakeTarget(t *trustedmetadata.TrustedMetadata) (*metadata.TargetFiles, release.Digest, error) {
	f := t.Targets[brakeRole].Signed.Targets[release.BrakePath]
	if f == nil {
		return nil, release.Digest{}, fmt.Errorf("%w: the role %s does not list %s", ErrMalformed, brakeRole, release.BrakePath)
	}
	if f.Length > release.MaxBrakeSize {
		return nil, release.Digest{}, fmt.Errorf("brake: %d bytes: %w", f.Length, ErrOversized)
	}
	d, err := targetDigest(f)
	return f, d, err
}

// loadBrake reads and verifies the brake that is published now; it is empty in a feed without one.
func (r *Repository) loadBrake(t *trustedmetadata.TrustedMetadata) (*release.Brake, error) {
	role, err := brakeDelegation(t)
	if err != nil || role == nil {
		return &release.Brake{Schema: release.IndexSchema, App: r.feed.App}, err
	}
	meta, err := brakeMeta(t)
	if err != nil {
		return nil, err
	}
	name := versioned(meta.Version, brakeRole)
	b, err := readCapped(r.metadataPath(name), maxBrakeMetadata)
	if err != nil {
		return nil, err
	}
	if _, err := t.UpdateDelegatedTargets(b, brakeRole, metadata.TARGETS); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f, _, err := brakeTarget(t)
	if err != nil {
		return nil, err
	}
	if b, err = r.readVouched(release.BrakePath, f); err != nil {
		return nil, err
	}
	return release.ParseBrake(b)
}

// delegateBrake makes targets delegate the brake to the keys that the root trusts with the timestamp, any one of them, and reports whether
// they did not before: in a feed without a brake, or after the root exchanged the online key.
func (r *Repository) delegateBrake() bool {
	online := r.trusted.Root.Signed.Roles[metadata.TIMESTAMP].KeyIDs
	targets := &r.trusted.Targets[metadata.TARGETS].Signed
	want := metadata.DelegatedRole{Name: brakeRole, KeyIDs: slices.Clone(online), Threshold: 1, Terminating: true, Paths: []string{release.BrakePath}}
	if d := targets.Delegations; d != nil && len(d.Roles) == 1 && r.trusted.Targets[brakeRole] != nil {
		is := d.Roles[0]
		if is.Name == want.Name && is.Threshold == 1 && is.Terminating && slices.Equal(is.KeyIDs, want.KeyIDs) && slices.Equal(is.Paths, want.Paths) {
			return false
		}
	}
	keys := make(map[string]*metadata.Key)
	for _, id := range online {
		keys[id] = r.trusted.Root.Signed.Keys[id]
	}
	targets.Delegations = &metadata.Delegations{Keys: keys, Roles: []metadata.DelegatedRole{want}}
	return true
}

// brakeSigners returns the online keys that targets name for the brake.
func (r *Repository) brakeSigners() ([]Signer, error) {
	d, err := brakeDelegation(r.trusted)
	if err != nil {
		return nil, err
	}
	if d == nil {
		return nil, fmt.Errorf("targets name no key for it yet; publish once with the targets key: %w", ErrNoKey)
	}
	signers, err := trustedSigners(d.KeyIDs, d.Threshold, r.keys.Online)
	if err != nil {
		return nil, fmt.Errorf("targets may name others; publish once with the targets key: %w", err)
	}
	return signers, nil
}

func (r *Repository) marshalBrake() ([]byte, release.Digest, error) {
	b, err := r.brake.Marshal()
	if err == nil && len(b) > release.MaxBrakeSize {
		err = fmt.Errorf("brake: %d bytes: %w", len(b), ErrOversized)
	}
	return b, sha256.Sum256(b), err
}

// brakeIsStale reports whether the brake that is published is another one, or half of its time is over.
func (r *Repository) brakeIsStale() (bool, error) {
	m := r.trusted.Targets[brakeRole]
	if m == nil || r.due(m.Signed.Expires, brakeLife) {
		return true, nil
	}
	_, d, err := r.marshalBrake()
	if err != nil {
		return false, err
	}
	_, published, err := brakeTarget(r.trusted)
	return published != d, err
}

// writeBrake writes the brake, then its metadata. No reader sees them before the snapshot and the timestamp that must follow.
func (r *Repository) writeBrake(ctx context.Context) error {
	b, d, err := r.marshalBrake()
	if err != nil {
		return err
	}
	if _, err := r.signers(brakeRole); err != nil {
		return err
	}
	if err := r.writeFile(ctx, r.targetPath(release.BrakePath, d), b); err != nil {
		return err
	}
	m := r.trusted.Targets[brakeRole]
	if m == nil {
		m = metadata.Targets()
		m.Signed.Version = 0 // never published; what follows makes it 1
		r.trusted.Targets[brakeRole] = m
	}
	m.Signed.Targets = map[string]*metadata.TargetFiles{
		release.BrakePath: {Length: int64(len(b)), Hashes: metadata.Hashes{"sha256": d[:]}, Path: release.BrakePath},
	}
	m.Signed.Delegations = nil
	m.Signed.Version++
	m.Signed.Expires = r.expiry(brakeLife)
	meta, err := signAndWrite(ctx, r, m, brakeRole, versioned(m.Signed.Version, brakeRole), m.Signed.Version)
	if err != nil {
		return err
	}
	r.trusted.Snapshot.Signed.Meta[brakeRole+".json"] = meta
	return nil
}
