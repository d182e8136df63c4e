package tuf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"github.com/moult-go/moult/release"
)

// InitOptions says what Init sets up.
type InitOptions struct {
	App      string   // name of the application; required
	Channels []string // default "beta", "stable"
	// KeyDir gets the private keys (root.key, targets.key, online.key, each 0600) and a copy of the trusted root
	// (root.json). It must lie outside the repository. Default: the repository's path with "-keys" appended.
	KeyDir string
	// RootKeyDirs get a root key each, with a copy of the root, to be taken offline, each to another place. Default: one root key in
	// KeyDir.
	RootKeyDirs []string
	// RootThreshold is the number of root keys that must sign a change of the root. Default 1.
	RootThreshold int
	// Keys are there already. A role that has none gets a new one; root keys are made in RootKeyDirs beside those named here.
	Keys Keys
	// Passphrase encrypts every key that is made. A root key in plain text must not lie beside an online key unless PlaintextKeys is set.
	Passphrase []byte
	// PassphraseFor, if not nil, is asked for the passphrase of each key file instead; none leaves it in plain text.
	PassphraseFor func(r Role, path string) ([]byte, error)
	// PlaintextKeys allows all keys in one directory in plain text: for tests and demonstrations.
	PlaintextKeys bool
	// Now is the clock that dates the metadata. Default: time.Now.
	Now func() time.Time
}

// Init makes keys and a valid repository with empty channels in dir.
func Init(ctx context.Context, dir string, o InitOptions) (*Repository, error) {
	r, err := initialize(ctx, dir, &o)
	if err != nil {
		for _, d := range append(o.keyDirs(), dir) {
			os.Remove(d) // leave no empty directories behind; what has something in it stays
		}
		return nil, fmt.Errorf("set up feed %s: %w", dir, err)
	}
	return r, nil
}

func initialize(ctx context.Context, dir string, o *InitOptions) (*Repository, error) {
	if err := o.complete(dir); err != nil {
		return nil, err
	}
	plan, err := o.plan()
	if err != nil {
		return nil, err
	}
	r := &Repository{dir: dir, keyDir: o.KeyDir, now: o.Now, keys: o.Keys}
	r.feed = feedSettings{Schema: 1, App: o.App, Channels: o.Channels}
	return r, r.create(ctx, o, plan)
}

// complete fills in defaults and refuses what must not be.
func (o *InitOptions) complete(dir string) error {
	if err := release.CheckName("application", o.App); err != nil {
		return err
	}
	if len(o.Channels) == 0 {
		o.Channels = []string{"beta", "stable"}
	}
	o.Channels = slices.Clone(o.Channels)
	slices.Sort(o.Channels)
	for i, c := range o.Channels {
		if err := release.CheckName("channel", c); err != nil {
			return err
		}
		if i > 0 && c == o.Channels[i-1] {
			return fmt.Errorf("channel %s: named twice", c)
		}
	}
	if o.KeyDir == "" {
		o.KeyDir = defaultKeyDir(dir)
	}
	if len(o.RootKeyDirs) == 0 && len(o.Keys.Root) == 0 {
		o.RootKeyDirs = []string{o.KeyDir}
	}
	if o.RootThreshold == 0 {
		o.RootThreshold = 1
	}
	if o.PassphraseFor == nil {
		o.PassphraseFor = func(Role, string) ([]byte, error) { return o.Passphrase, nil }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o.checkDirs(dir)
}

func (o *InitOptions) keyDirs() []string { return append([]string{o.KeyDir}, o.RootKeyDirs...) }

func (o *InitOptions) checkDirs(dir string) error {
	for _, d := range o.keyDirs() {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, d := range o.keyDirs() {
		inside, err := within(d, dir)
		if err != nil {
			return err
		}
		if inside {
			return fmt.Errorf("keys in %s would be served to everyone: name a directory outside the repository", d)
		}
	}
	for _, p := range []string{filepath.Join(dir, metadataDir), filepath.Join(dir, targetsDir), filepath.Join(o.KeyDir, rootCopyFile)} {
		if err := checkAbsent(p); err != nil {
			return err
		}
	}
	return nil
}

func checkAbsent(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s: %w", path, ErrExists), err)
	}
	return nil
}

// newKey is a key that is yet to be made.
type newKey struct {
	role       Role
	path       string
	passphrase []byte
}

// plan lists the keys to make.
func (o *InitOptions) plan() ([]newKey, error) {
	var list []newKey
	for _, d := range o.RootKeyDirs {
		list = append(list, newKey{role: RootRole, path: filepath.Join(d, RootRole.keyFile())})
	}
	for _, r := range []Role{TargetsRole, OnlineRole} {
		if len(*o.Keys.of(r)) == 0 {
			list = append(list, newKey{role: r, path: filepath.Join(o.KeyDir, r.keyFile())})
		}
	}
	at := map[Role][]keyPlace{RootRole: places(o.Keys.Root), OnlineRole: places(o.Keys.Online)}
	for i := range list {
		n := &list[i]
		if err := checkAbsent(n.path); err != nil {
			return nil, err
		}
		var err error
		if n.passphrase, err = o.PassphraseFor(n.role, n.path); err != nil {
			return nil, err
		}
		at[n.role] = append(at[n.role], keyPlace{n.path, len(n.passphrase) > 0})
	}
	if o.PlaintextKeys {
		return list, nil
	}
	return list, checkApart(at[RootRole], at[OnlineRole])
}

// within reports whether d is base or lies below it, links followed.
func within(d, base string) (bool, error) {
	var real [2]string
	for i, p := range []string{d, base} {
		abs, err := filepath.Abs(p)
		if err != nil {
			return false, err
		}
		if real[i], err = filepath.EvalSymlinks(abs); err != nil {
			return false, err
		}
	}
	rel, err := filepath.Rel(real[1], real[0])
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)), nil
}

// create writes keys, root and the first, empty publication. What it made is removed again if it fails.
func (r *Repository) create(ctx context.Context, o *InitOptions, plan []newKey) (err error) {
	var made []string
	defer func() {
		if err != nil {
			for _, p := range made {
				os.RemoveAll(p)
			}
		}
	}()
	for _, n := range plan {
		k, err := CreateKey(n.path, n.passphrase)
		if err != nil {
			return err
		}
		made = append(made, n.path)
		to := r.keys.of(n.role)
		*to = append(*to, k)
	}
	root, err := r.newRoot(ctx, o.RootThreshold)
	if err != nil {
		return err
	}
	for _, d := range slices.Compact(slices.Sorted(slices.Values(o.keyDirs()))) { // whoever holds a root key needs the root to judge a change
		path := filepath.Join(d, rootCopyFile)
		if err := createFile(path, root, 0o644); err != nil {
			return err
		}
		made = append(made, path)
	}
	made = append(made, filepath.Join(r.dir, metadataDir), filepath.Join(r.dir, targetsDir))
	if err := replaceFile(r.RootFile(), root); err != nil {
		return err
	}
	return r.firstPublication(ctx, root)
}

func (r *Repository) newRoot(ctx context.Context, threshold int) ([]byte, error) {
	m := metadata.Root(r.expiry(rootLife))
	for _, role := range Roles() {
		for _, s := range *r.keys.of(role) {
			if err := addKey(&m.Signed, role, s.PublicKey()); err != nil {
				return nil, err
			}
		}
	}
	m.Signed.Roles[metadata.ROOT].Threshold = threshold
	if err := checkRoles(&m.Signed); err != nil {
		return nil, err
	}
	return sign(ctx, m, r.keys.Root)
}

func (r *Repository) firstPublication(ctx context.Context, root []byte) error {
	t, err := trustedmetadata.New(root)
	if err != nil {
		return err
	}
	// Version 0 was never published; publishing makes it 1.
	ta, sn, ts := metadata.Targets(), metadata.Snapshot(), metadata.Timestamp()
	ta.Signed.Version, sn.Signed.Version, ts.Signed.Version = 0, 0, 0
	t.Targets[metadata.TARGETS], t.Snapshot, t.Timestamp = ta, sn, ts
	r.trusted, r.brake = t, &release.Brake{Schema: release.IndexSchema, App: r.feed.App}
	return r.publishSettings(ctx)
}
