package tuf

import (
	"context"
	"encoding/json"
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
	// RootKeyDir gets root.key instead, to be taken offline. Default: KeyDir.
	RootKeyDir string
	// Passphrase encrypts every key. Without one, RootKeyDir must not be KeyDir unless PlaintextKeys is set.
	Passphrase []byte
	// PlaintextKeys allows all keys in one directory in plain text: for tests and demonstrations.
	PlaintextKeys bool
	// Now is the clock that dates the metadata. Default: time.Now.
	Now func() time.Time
}

// Init makes keys and a valid repository with empty channels in dir.
func Init(dir string, o InitOptions) (*Repository, error) {
	if err := o.complete(dir); err != nil {
		return nil, fmt.Errorf("set up feed %s: %w", dir, err)
	}
	r := &Repository{dir: dir, keyDir: o.KeyDir, now: o.Now}
	r.feed = feedSettings{Schema: 1, App: o.App, Channels: o.Channels}
	if err := r.create(o); err != nil {
		return nil, fmt.Errorf("set up feed %s: %w", dir, err)
	}
	return r, nil
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
	if o.RootKeyDir == "" {
		o.RootKeyDir = o.KeyDir
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o.checkDirs(dir)
}

func (o *InitOptions) checkDirs(dir string) (err error) {
	defer func() {
		if err != nil { // leave no empty directories behind a refusal; what has something in it stays
			for _, d := range []string{dir, o.KeyDir, o.RootKeyDir} {
				os.Remove(d)
			}
		}
	}()
	for d, mode := range map[string]fs.FileMode{o.KeyDir: 0o700, o.RootKeyDir: 0o700, dir: 0o755} {
		if err := os.MkdirAll(d, mode); err != nil {
			return err
		}
	}
	for _, d := range []string{o.KeyDir, o.RootKeyDir} {
		inside, err := within(d, dir)
		if err != nil {
			return err
		}
		if inside {
			return fmt.Errorf("keys in %s would be served to everyone: name a directory outside the repository", d)
		}
	}
	same, err := within(o.RootKeyDir, o.KeyDir)
	if err != nil {
		return err
	}
	if same && len(o.Passphrase) == 0 && !o.PlaintextKeys {
		return fmt.Errorf("keys in %s: %w", o.KeyDir, ErrPlaintextKeys)
	}
	for _, p := range []string{filepath.Join(dir, metadataDir), filepath.Join(dir, targetsDir), filepath.Join(o.KeyDir, rootCopyFile),
		filepath.Join(o.KeyDir, targetsKeyFile), filepath.Join(o.KeyDir, onlineKeyFile), filepath.Join(o.RootKeyDir, rootKeyFile)} {
		if _, err := os.Lstat(p); !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(fmt.Errorf("%s: %w", p, ErrExists), err)
		}
	}
	return nil
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
func (r *Repository) create(o InitOptions) (err error) {
	var made []string
	defer func() {
		if err != nil {
			for _, p := range made {
				os.RemoveAll(p)
			}
		}
	}()
	newKeyFile := func(dir, name string) (*key, error) {
		path := filepath.Join(dir, name)
		made = append(made, path)
		return createKey(path, o.Passphrase)
	}
	rootKey, err := newKeyFile(o.RootKeyDir, rootKeyFile)
	if err != nil {
		return err
	}
	if r.keys.targets, err = newKeyFile(o.KeyDir, targetsKeyFile); err != nil {
		return err
	}
	if r.keys.online, err = newKeyFile(o.KeyDir, onlineKeyFile); err != nil {
		return err
	}
	root, err := r.newRoot(rootKey)
	if err != nil {
		return err
	}
	made = append(made, filepath.Join(o.KeyDir, rootCopyFile), filepath.Join(r.dir, metadataDir), filepath.Join(r.dir, targetsDir))
	if err := createFile(filepath.Join(o.KeyDir, rootCopyFile), root, 0o644); err != nil {
		return err
	}
	if err := replaceFile(r.RootFile(), root); err != nil {
		return err
	}
	return r.firstPublication(root)
}

func (r *Repository) newRoot(rootKey *key) ([]byte, error) {
	m := metadata.Root(r.expiry(rootLife))
	for role, k := range map[string]*key{
		metadata.ROOT: rootKey, metadata.TARGETS: r.keys.targets, metadata.SNAPSHOT: r.keys.online, metadata.TIMESTAMP: r.keys.online,
	} {
		if err := m.Signed.AddKey(k.public, role); err != nil {
			return nil, err
		}
	}
	return sign(m, rootKey)
}

func (r *Repository) firstPublication(root []byte) error {
	t, err := trustedmetadata.New(root)
	if err != nil {
		return err
	}
	// Version 0 was never published; publishing makes it 1.
	ta, sn, ts := metadata.Targets(), metadata.Snapshot(), metadata.Timestamp()
	ta.Signed.Version, sn.Signed.Version, ts.Signed.Version = 0, 0, 0
	t.Targets[metadata.TARGETS], t.Snapshot, t.Timestamp = ta, sn, ts
	r.trusted, r.brake = t, &release.Brake{Schema: release.IndexSchema}
	settings, err := json.Marshal(r.feed)
	if err != nil {
		return err
	}
	return r.publishTargets(context.Background(), map[string][]byte{feedTarget: append(settings, '\n')})
}
