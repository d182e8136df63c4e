package tuf

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"github.com/moult-go/moult/release"
)

// The two halves of a feed below its directory or URL, and what lies in them.
const (
	metadataDir = "metadata"
	targetsDir  = "targets"
	feedTarget  = "feed.json" // the publisher's own settings, signed for as a target
)

// How long signatures hold; half of it is when Refresh renews.
const (
	rootLife      = 365 * 24 * time.Hour
	targetsLife   = 180 * 24 * time.Hour
	brakeLife     = 180 * 24 * time.Hour
	snapshotLife  = 30 * 24 * time.Hour
	timestampLife = 14 * 24 * time.Hour
)

// maxMetadata is the largest metadata file that is read, root's own limit included.
const maxMetadata = 5 << 20

// OpenOptions says where the keys are.
type OpenOptions struct {
	// KeyDir has the copy of the trusted root, and the key files of the roles that Keys has nothing for. Default as in InitOptions.
	KeyDir     string
	Passphrase []byte // of the key files, if they are encrypted
	Keys       Keys   // what is at hand beside them
	// WithoutKeyFiles leaves the key files alone: for what needs no signature, or those of Keys only.
	WithoutKeyFiles bool
	Now             func() time.Time // default time.Now
}

// Repository is a directory with a feed, seen by its publisher. DIR/metadata and DIR/targets are plain static files
// to be served by any web server below one URL. It is safe for use by several processes, not by several goroutines.
type Repository struct {
	dir, keyDir string
	keys        Keys
	now         func() time.Time
	feed        feedSettings
	root        []byte // given to Inspect
	trusted     *trustedmetadata.TrustedMetadata
	brake       *release.Brake

	unfinished *metadata.Metadata[metadata.RootType] // the publication of this root was interrupted
	outgoing   *metadata.Metadata[metadata.RootType] // its keys sign too, for those who do not know the new root yet

	// beforeWrite lets tests stop a publication before any file of it becomes visible.
	beforeWrite func(path string) error
}

// feedSettings is the content of feed.json.
type feedSettings struct {
	Schema           int      `json:"schema"`
	App              string   `json:"app"`
	Channels         []string `json:"channels"`
	TimestampSeconds int64    `json:"timestamp_seconds,omitempty"` // how long a timestamp holds; 0 for timestampLife
}

func (s feedSettings) marshal() ([]byte, error) {
	b, err := json.Marshal(s)
	return append(b, '\n'), err
}

// Open opens a repository that Init made, and verifies it from the trusted root in the key directory: what a publisher
// signs again must be what it signed before. Expired metadata is no error here, it is what Refresh is for.
func Open(dir string, o OpenOptions) (*Repository, error) {
	r := &Repository{dir: dir, keyDir: o.KeyDir, now: o.Now}
	if r.keyDir == "" {
		r.keyDir = defaultKeyDir(dir)
	}
	if r.now == nil {
		r.now = time.Now
	}
	r.keys = o.Keys
	if !o.WithoutKeyFiles {
		if err := r.keys.load(r.keyDir, o.Passphrase); err != nil {
			return nil, err
		}
	}
	if err := r.load(); err != nil {
		return nil, fmt.Errorf("open feed %s: %w", dir, err)
	}
	return r, nil
}

func defaultKeyDir(dir string) string { return filepath.Clean(dir) + "-keys" }

// RootFile is the path of the first root: the file to embed in the program (DIR/metadata/1.root.json).
func (r *Repository) RootFile() string { return r.metadataPath("1.root.json") }

// KeyDir is where the keys are.
func (r *Repository) KeyDir() string { return r.keyDir }

// App returns the name of the application.
func (r *Repository) App() string { return r.feed.App }

// Channels returns the channels that Init set up.
func (r *Repository) Channels() []string { return slices.Clone(r.feed.Channels) }

func (r *Repository) metadataPath(name string) string {
	return filepath.Join(r.dir, metadataDir, name)
}

func (r *Repository) targetPath(p string, d release.Digest) string {
	return filepath.Join(r.dir, targetsDir, filepath.FromSlash(release.HashedPath(p, d)))
}

// loadUpTo reads and verifies what is published now, following roots up to that version.
func (r *Repository) loadUpTo(newest int64) error {
	return guard(func() error {
		t, err := r.trustedRoot()
		if err != nil {
			return err
		}
		if v := t.Root.Signed.Version; v > newest {
			return fmt.Errorf("trusted root: version %d after %d: %w", v, newest, ErrRollback)
		}
		t.RefTime = time.Time{} // nothing is expired at the beginning of time
		steps := []func() (name string, use func([]byte) error){
			func() (string, func([]byte) error) { return "timestamp.json", drop(t.UpdateTimestamp) },
			func() (string, func([]byte) error) {
				return versioned(t.Timestamp.Signed.Meta["snapshot.json"].Version, "snapshot"), func(b []byte) error {
					_, err := t.UpdateSnapshot(b, false)
					return err
				}
			},
			func() (string, func([]byte) error) {
				return versioned(t.Snapshot.Signed.Meta["targets.json"].Version, "targets"), drop(t.UpdateTargets)
			},
		}
		if err := r.followRoots(t, newest); err != nil {
			return err
		}
		for _, step := range steps {
			name, use := step()
			b, err := readCapped(r.metadataPath(name), maxMetadata)
			if err != nil {
				return err
			}
			if err := use(b); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		r.trusted = t
		if err := r.loadSettings(); err != nil {
			return err
		}
		if r.brake, err = r.loadBrake(t); err != nil {
			return fmt.Errorf("brake: %w", err)
		}
		return nil
	})
}

// followRoots walks from the trusted root to the newest one.
func (r *Repository) followRoots(t *trustedmetadata.TrustedMetadata, newest int64) error {
	for t.Root.Signed.Version < newest {
		name := versioned(t.Root.Signed.Version+1, "root")
		b, err := readCapped(r.metadataPath(name), maxMetadata)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := t.UpdateRoot(b); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (r *Repository) loadSettings() error {
	b, err := r.readTarget(feedTarget)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &r.feed); err != nil {
		return fmt.Errorf("%s: %w: %w", feedTarget, ErrMalformed, err)
	}
	return nil
}

func drop[T any](f func([]byte) (T, error)) func([]byte) error {
	return func(b []byte) error {
		_, err := f(b)
		return err
	}
}

func versioned(version int64, role string) string {
	return strconv.FormatInt(version, 10) + "." + role + ".json"
}

// targets is what the trusted targets metadata lists.
func (r *Repository) targets() map[string]*metadata.TargetFiles {
	return r.trusted.Targets[metadata.TARGETS].Signed.Targets
}

// readTarget reads a target of the repository and holds it against its signed digest.
func (r *Repository) readTarget(path string) ([]byte, error) {
	t, ok := r.targets()[path]
	if !ok || t == nil {
		return nil, fmt.Errorf("target %s: %w", path, ErrNotFound)
	}
	return r.readVouched(path, t)
}

// readVouched reads a target that t vouches for.
func (r *Repository) readVouched(path string, t *metadata.TargetFiles) ([]byte, error) {
	d, err := targetDigest(t)
	if err != nil {
		return nil, fmt.Errorf("target %s: %w", path, err)
	}
	b, err := readCapped(r.targetPath(path, d), t.Length)
	if err != nil {
		return nil, fmt.Errorf("target %s: %w", path, err)
	}
	if sha256.Sum256(b) != d {
		return nil, fmt.Errorf("target %s: %w", path, ErrDigestMismatch)
	}
	return b, nil
}

// targetDigest takes the one hash that we publish. go-tuf picks a hash at random for file names when there are several.
func targetDigest(t *metadata.TargetFiles) (release.Digest, error) {
	h := t.Hashes["sha256"]
	if len(h) != sha256.Size {
		return release.Digest{}, fmt.Errorf("no sha256: %w", ErrMalformed)
	}
	return release.Digest(h), nil
}

// Indexes returns the index of every channel and platform that has one, with the brake applied, sorted by path.
func (r *Repository) Indexes() ([]*release.Index, error) {
	all, err := r.indexes()
	for _, ix := range all {
		r.brake.Apply(ix)
	}
	return all, err
}

// indexes are those that the targets key signed, without the brake.
func (r *Repository) indexes() ([]*release.Index, error) {
	var all []*release.Index
	for _, path := range slices.Sorted(maps.Keys(r.targets())) {
		if path == feedTarget {
			continue
		}
		ix, err := r.index(path)
		if err != nil {
			return nil, err
		}
		all = append(all, ix)
	}
	return all, nil
}

func (r *Repository) index(path string) (*release.Index, error) {
	b, err := r.readTarget(path)
	if err != nil {
		return nil, err
	}
	ix, err := release.ParseIndex(b)
	if err != nil {
		return nil, fmt.Errorf("target %s: %w", path, err)
	}
	return ix, nil
}

// Expiries says until when each role's metadata is valid: root, targets, snapshot, timestamp, and brake if there is one.
func (r *Repository) Expiries() []Expiry {
	all := expiries(r.trusted)
	for i := range all {
		if all[i].Role == metadata.TIMESTAMP {
			all[i].life = r.TimestampLife()
		}
	}
	return all
}

func expiries(t *trustedmetadata.TrustedMetadata) []Expiry {
	root, ts, sn, ta := t.Root.Signed, t.Timestamp.Signed, t.Snapshot.Signed, t.Targets[metadata.TARGETS].Signed
	of := func(role string, version int64, expires time.Time) Expiry {
		e := Expiry{Role: role, Version: version, Expires: expires}
		if r := root.Roles[role]; r != nil {
			e.Keys, e.Threshold = slices.Clone(r.KeyIDs), r.Threshold
		}
		return e
	}
	all := []Expiry{
		of(metadata.ROOT, root.Version, root.Expires),
		of(metadata.TARGETS, ta.Version, ta.Expires),
		of(metadata.SNAPSHOT, sn.Version, sn.Expires),
		of(metadata.TIMESTAMP, ts.Version, ts.Expires),
	}
	if b := t.Targets[brakeRole]; b != nil {
		e := of(brakeRole, b.Signed.Version, b.Signed.Expires)
		for _, r := range ta.Delegations.Roles {
			if r.Name == brakeRole {
				e.Keys, e.Threshold = slices.Clone(r.KeyIDs), r.Threshold
			}
		}
		all = append(all, e)
	}
	return all
}

// exclusively runs f while no other process publishes here, on what is published at that moment.
func (r *Repository) exclusively(ctx context.Context, f func() error) error {
	unlock, err := Lock(ctx, r.dir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := r.load(); err != nil {
		return fmt.Errorf("open feed %s: %w", r.dir, err)
	}
	if err := r.finishRoot(ctx); err != nil {
		return err
	}
	return f()
}
