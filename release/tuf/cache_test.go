package tuf

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Whatever becomes of the cache, the next check works.
func TestBrokenCacheRecovers(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	f.rotate()
	for name, damage := range map[string]func(path string) error{
		"empty":     func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"garbage":   func(p string) error { return os.WriteFile(p, []byte("\x00\xffgarbage"), 0o600) },
		"null":      func(p string) error { return os.WriteFile(p, []byte("null"), 0o600) },
		"truncated": func(p string) error { return os.Truncate(p, 40) },
		"huge":      func(p string) error { return os.Truncate(p, maxMetadata+1) },
		"zeroed": func(p string) error {
			b, err := os.ReadFile(p)
			return errors.Join(err, os.WriteFile(p, make([]byte, len(b)), 0o600))
		},
		"removed": os.Remove,
		"a directory": func(p string) error {
			return errors.Join(os.Remove(p), os.MkdirAll(filepath.Join(p, "full"), 0o700))
		},
	} {
		dir := t.TempDir()
		c := f.client(dir)
		wantNewest(t, c, "beta", "1.0.0")
		entries, err := os.ReadDir(c.cache.dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) < 7 { // root, 2.root, timestamp, its etag, snapshot, targets, index
			t.Errorf("the cache holds %v", entries)
		}
		for _, e := range entries {
			if err := damage(filepath.Join(c.cache.dir, e.Name())); err != nil {
				t.Fatal(err)
			}
			if got, err := newest(f.client(dir), "beta"); err != nil || got != "1.0.0" {
				t.Errorf("%s %s: %q, %v", e.Name(), name, got, err)
			}
		}
	}
}

// What is left half written by a crash does not pile up; what somebody else writes at this moment stays.
func TestCacheIsSwept(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	c := f.client(t.TempDir())
	wantNewest(t, c, "beta", "1.0.0")
	for name, age := range map[string]time.Duration{"tuf_tmp1": 2 * time.Hour, ".new-1": 2 * time.Hour, "tuf_tmp2": 0, ".new-2": 0} {
		p := c.cache.path(name)
		if err := errors.Join(os.WriteFile(p, []byte("half"), 0o600), os.Chtimes(p, time.Time{}, time.Now().Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	wantNewest(t, c, "beta", "1.0.0")
	for name, want := range map[string]bool{"tuf_tmp1": false, ".new-1": false, "tuf_tmp2": true, ".new-2": true} {
		if _, err := os.Stat(c.cache.path(name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The directory itself may go, too.
	if err := os.RemoveAll(c.cache.dir); err != nil {
		t.Fatal(err)
	}
	wantNewest(t, c, "beta", "1.0.0")
}

// A validly signed null that an older version may have kept must not stop every later check.
func TestPoisonInTheCacheIsDropped(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	c := f.client(t.TempDir())
	wantNewest(t, c, "beta", "1.0.0")
	poison := f.timestamp(func(m *metadata.TimestampType) { m.Meta["snapshot.json"] = nil })
	if err := os.WriteFile(c.cache.path("timestamp.json"), poison, 0o600); err != nil {
		t.Fatal(err)
	}
	wantNewest(t, c, "beta", "1.0.0")
}

// rotate publishes a next root that replaces the online key.
func (f *feed) rotate() {
	f.t.Helper()
	online := stranger(f.t)
	id := func(s Signer) string {
		id, err := KeyID(s.PublicKey())
		if err != nil {
			f.t.Fatal(err)
		}
		return id
	}
	m := f.repo.trusted.Root
	m.Signed.Version++
	if err := addKey(&m.Signed, OnlineRole, online[0].PublicKey()); err != nil {
		f.t.Fatal(err)
	}
	for _, role := range OnlineRole.metadataRoles() {
		if err := m.Signed.RevokeKey(id(f.repo.keys.Online[0]), role); err != nil {
			f.t.Fatal(err)
		}
	}
	b, err := sign(f.t.Context(), m, f.repo.keys.Root)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := replaceFile(f.repo.metadataPath(versioned(m.Signed.Version, metadata.ROOT)), b); err != nil {
		f.t.Fatal(err)
	}
	f.repo.keys.Online = online
	if err := f.repo.publishSnapshot(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

// A host that was off through three rotations follows them once; with the first root embedded for ever, later checks cost two
// requests again.
func TestRotationsAreWalkedOnce(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	dir := t.TempDir()
	wantNewest(t, f.client(dir), "beta", "1.0.0")
	for range 3 {
		f.rotate()
	}
	f.took()
	wantNewest(t, f.client(dir), "beta", "1.0.0")
	if got := strings.Join(f.took(), " "); !strings.HasPrefix(got, "/metadata/2.root.json /metadata/3.root.json /metadata/4.root.json /metadata/5.root.json /metadata/timestamp.json") {
		t.Errorf("the first check after the rotations: %q", got)
	}
	for range 2 {
		wantNewest(t, f.client(dir), "beta", "1.0.0")
		if got := strings.Join(f.took(), " "); got != "/metadata/5.root.json /metadata/timestamp.json" {
			t.Errorf("a later check: %q", got)
		}
	}
	wantNewest(t, f.client(t.TempDir()), "beta", "1.0.0")
	// The publisher, who trusts the first root as well, goes on: by the new key, which is not in his directory here.
	if r, err := Open(f.repo.dir, OpenOptions{}); err != nil || r.Expiries()[0].Version != 4 {
		t.Errorf("publisher: %v", err)
	} else if err := r.Refresh(t.Context()); !errors.Is(err, ErrNoKey) {
		t.Errorf("signed by a revoked key: %v", err)
	}
}

// Another embedded root is another feed, even in the same directory.
func TestCachesOfTwoRootsAreApart(t *testing.T) {
	one, two := newFeed(t), newFeed(t)
	one.publish("1.0.0", "beta", "one")
	two.publish("2.0.0", "beta", "two")
	dir := t.TempDir()
	wantNewest(t, one.client(dir), "beta", "1.0.0")
	wantNewest(t, two.client(dir), "beta", "2.0.0")
	one.setLie(nil)
	wantNewest(t, one.client(dir), "beta", "1.0.0")
	c, err := NewClient(two.url, one.root, dir, ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := newest(c, "beta"); !errors.Is(err, ErrBadSignature) {
		t.Errorf("two's feed under one's root: %v", err)
	}
}

func FuzzWellFormed(f *testing.F) {
	for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
		f.Add(role, []byte(`{"signed":{"_type":"`+role+`","version":1,"meta":{"snapshot.json":null},"roles":{"root":null}},"signatures":[null]}`))
	}
	f.Fuzz(func(t *testing.T, role string, b []byte) {
		if err := wellFormed(role, b); err != nil && !errors.Is(err, ErrMalformed) {
			t.Fatalf("unsorted error: %v", err)
		}
	})
}
