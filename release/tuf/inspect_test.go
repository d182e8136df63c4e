package tuf

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
)

func TestInspectNeedsNoKeys(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	f.now = f.now.Add(-10 * 365 * 24 * time.Hour)
	if err := f.repo.Refresh(context.Background()); err != nil { // expired long ago, which is no error here
		t.Fatal(err)
	}
	if err := os.RemoveAll(f.repo.keyDir); err != nil {
		t.Fatal(err)
	}
	for name, root := range map[string][]byte{"with the root": f.root, "with its own root": nil} {
		r, err := Inspect(f.repo.dir, root)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all, err := r.Indexes()
		if err != nil || len(all) != 1 || r.App() != "hello" || len(r.Expiries()) != 5 {
			t.Errorf("%s: indexes %v, %v of %s", name, all, err, r.App())
		}
		if err := r.Refresh(context.Background()); !errors.Is(err, ErrNoKey) {
			t.Errorf("%s: it can sign: %v", name, err)
		}
	}
}

func TestInspectRefuses(t *testing.T) {
	f, other := newFeed(t), newFeed(t)
	f.publish("1.0.0", "beta", "one")
	if _, err := Inspect(f.repo.dir, other.root); !errors.Is(err, ErrBadSignature) {
		t.Errorf("with another feed's root: %v", err)
	}
	path := release.IndexPath("beta", linux)
	d, err := targetDigest(f.repo.targets()[path])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.repo.targetPath(path, d), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := Inspect(f.repo.dir, f.root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Indexes(); !errors.Is(err, ErrDigestMismatch) && !errors.Is(err, ErrOversized) {
		t.Errorf("a changed index: %v", err)
	}
	if _, err := Inspect(filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no feed: %v", err)
	}
}
