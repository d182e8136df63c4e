package tuf

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"github.com/moult-go/moult/release"
)

// cache is what a client keeps: verified metadata as received, every root between the embedded one and the newest, the indexes
// last asked for, and the timestamp's ETag. Nothing in it is believed: it is verified again from the embedded root at each
// use, and what does not verify is dropped.
type cache struct {
	dir  string
	root []byte // embedded
	log  *slog.Logger

	checksBehind int // see behind
}

// maxTimestamp is go-tuf's own limit.
const maxTimestamp = 16 << 10

// openCache makes the directory of this root. A new embedded root starts a new one, the way out when root keys are lost.
func openCache(parent string, root []byte, log *slog.Logger) (*cache, error) {
	if err := checkFirstRoot(root); err != nil {
		return nil, fmt.Errorf("embedded root: %w", err)
	}
	c := &cache{dir: filepath.Join(parent, release.Digest(sha256.Sum256(root)).Short()), root: root, log: log}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, err
	}
	return c, nil
}

// checkFirstRoot verifies a root by its own keys.
func checkFirstRoot(root []byte) error {
	if err := wellFormed(metadata.ROOT, root); err != nil {
		return err
	}
	return malformedIfUnknown(guard(func() error {
		_, err := trustedmetadata.New(root)
		return err
	}))
}

// prepare drops what is broken and returns the newest root that verifies from the embedded one. Starting from that
// one and not the embedded one saves a request for each rotation at every check.
func (c *cache) prepare() ([]byte, error) {
	if err := c.sweep(time.Now()); err != nil {
		return nil, err
	}
	for _, role := range []string{metadata.TIMESTAMP, metadata.SNAPSHOT, metadata.TARGETS, brakeRole} {
		b, err := readCapped(c.path(role+".json"), limits[role])
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = wellFormed(role, b)
		}
		if err != nil {
			// go-tuf would fail on it for ever: it passes over a cached file that does not verify, not one that does not parse.
			if err := c.drop(role+".json", err); err != nil {
				return nil, err
			}
		}
	}
	t, err := trustedmetadata.New(c.root)
	if err != nil {
		return nil, err
	}
	newest := c.root
	for {
		name := versioned(t.Root.Signed.Version+1, metadata.ROOT)
		b, err := readCapped(c.path(name), maxMetadata)
		if errors.Is(err, fs.ErrNotExist) {
			return newest, nil
		}
		if err == nil {
			err = wellFormed(metadata.ROOT, b)
		}
		if err == nil {
			err = updateRoot(t, b)
		}
		if err != nil {
			return newest, c.drop(name, err)
		}
		newest = b
	}
}

func (c *cache) drop(name string, why error) error {
	c.log.Warn("drop broken feed cache", "file", c.path(name), "err", why)
	return os.RemoveAll(c.path(name))
}

// sweep removes what does not belong into the cache: what is no file, and what a crash left half written. Young ones may be
// somebody else's, at work.
func (c *cache) sweep(now time.Time) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			if err := c.drop(e.Name(), errors.New("not a file")); err != nil {
				return err
			}
			continue
		}
		half := strings.HasPrefix(e.Name(), "tuf_tmp") || strings.HasPrefix(e.Name(), strings.TrimSuffix(tempPattern, "*"))
		if info, err := e.Info(); half && err == nil && now.Sub(info.ModTime()) > time.Hour {
			if err := removeFile(c.path(e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// addRoots keeps the roots that were just fetched, in order, as far as they verify.
func (c *cache) addRoots(roots [][]byte) error {
	if len(roots) == 0 {
		return nil
	}
	newest, err := c.prepare()
	if err != nil {
		return err
	}
	t, err := trustedmetadata.New(newest)
	if err != nil {
		return err
	}
	for _, b := range roots {
		if err := updateRoot(t, b); err != nil {
			return err
		}
		if err := replaceFile(c.path(versioned(t.Root.Signed.Version, metadata.ROOT)), b); err != nil {
			return err
		}
	}
	return nil
}

func updateRoot(t *trustedmetadata.TrustedMetadata, b []byte) error {
	return guard(func() error {
		_, err := t.UpdateRoot(b)
		return err
	})
}

func (c *cache) path(name string) string { return filepath.Join(c.dir, name) }

func (c *cache) index(path string, d release.Digest, length int64) ([]byte, bool) {
	b, err := readCapped(indexFile(c.dir, path), length)
	return b, err == nil && sha256.Sum256(b) == d
}

func (c *cache) putIndex(path string, b []byte) error { return replaceFile(indexFile(c.dir, path), b) }

// etag is what the server called the timestamp that we have.
type etag struct {
	ETag   string         `json:"etag"`
	SHA256 release.Digest `json:"sha256"` // of the timestamp
}

const etagFile = "timestamp.etag"

// timestamp returns the cached timestamp and its ETag, or "" if they do not belong together.
func (c *cache) timestamp() ([]byte, string) {
	b, err := readCapped(c.path("timestamp.json"), maxTimestamp)
	if err != nil {
		return nil, ""
	}
	text, err := readCapped(c.path(etagFile), 4<<10)
	var e etag
	if err != nil || json.Unmarshal(text, &e) != nil || sha256.Sum256(b) != e.SHA256 {
		return nil, ""
	}
	return b, e.ETag
}

func (c *cache) putETag(tag string, body []byte) error {
	if old, oldTag := c.timestamp(); oldTag == tag && string(old) == string(body) {
		return nil
	}
	b, err := json.Marshal(etag{ETag: tag, SHA256: sha256.Sum256(body)})
	if err != nil {
		return err
	}
	return replaceFile(c.path(etagFile), b)
}

// wellFormed refuses metadata that go-tuf would choke on, before go-tuf keeps it: a signed null in the place of an entry.
func wellFormed(role string, b []byte) error {
	return guard(func() error { return malformedIfUnknown(parseRole(role, b)) })
}

func parseRole(role string, b []byte) error {
	switch role {
	case metadata.ROOT:
		m, err := metadata.Root().FromBytes(b)
		if err != nil {
			return err
		}
		return errors.Join(checkSpec(m.Signed.SpecVersion), checkRoot(m.Signed))
	case metadata.TIMESTAMP:
		m, err := metadata.Timestamp().FromBytes(b)
		if err != nil {
			return err
		}
		return errors.Join(checkSpec(m.Signed.SpecVersion), checkEntries(m.Signed.Meta, "snapshot.json"))
	case metadata.SNAPSHOT:
		m, err := metadata.Snapshot().FromBytes(b)
		if err != nil {
			return err
		}
		return errors.Join(checkSpec(m.Signed.SpecVersion), checkEntries(m.Signed.Meta, "targets.json"))
	}
	m, err := metadata.Targets().FromBytes(b)
	if err != nil {
		return err
	}
	return errors.Join(checkSpec(m.Signed.SpecVersion), checkTargets(m.Signed))
}

// checkSpec refuses metadata of a TUF specification that this version does not know (its section 4.3). go-tuf does not look.
func checkSpec(version string) error {
	if major, _, ok := strings.Cut(version, "."); !ok || major != "1" {
		return fmt.Errorf("specification %.20q, this version reads 1", version)
	}
	return nil
}

func checkEntries(entries map[string]*metadata.MetaFiles, want string) error {
	if entries[want] == nil {
		return fmt.Errorf("no entry for %s", want)
	}
	for name, e := range entries {
		if e == nil {
			return fmt.Errorf("the entry for %q is null", name)
		}
	}
	return nil
}

func checkTargets(targets metadata.TargetsType) error {
	for path, t := range targets.Targets {
		if t == nil {
			return fmt.Errorf("target %q is null", path)
		}
	}
	if targets.Delegations == nil {
		return nil
	}
	for id, k := range targets.Delegations.Keys {
		if k == nil {
			return fmt.Errorf("delegated key %q is null", id)
		}
	}
	return nil
}

func checkRoot(root metadata.RootType) error {
	for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
		if root.Roles[role] == nil {
			return fmt.Errorf("root has no role %s", role)
		}
	}
	for id, k := range root.Keys {
		if k == nil {
			return fmt.Errorf("root's key %q is null", id)
		}
	}
	return nil
}

// malformedIfUnknown gives errors that go-tuf passes on from a parser our own sentinel.
func malformedIfUnknown(err error) error {
	if err = classify(err); err == nil || known(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}

// known reports whether err has a sentinel that says what is wrong with a file.
func known(err error) bool {
	for _, s := range []error{ErrMalformed, ErrBadSignature, ErrExpired, ErrRollback, ErrDigestMismatch, ErrCache} {
		if errors.Is(err, s) {
			return true
		}
	}
	return false
}

// ofCache marks the errors of the disk.
func ofCache(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	if errors.As(err, &path) || errors.As(err, &link) {
		return fmt.Errorf("%w: %w", ErrCache, err)
	}
	return err
}
