package updater

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/moult-go/moult/updater/owner"
)

// What a package manager owns is not replaced, whoever asks; it is asked once for each file that stands there.
func TestPackageOwned(t *testing.T) {
	b := newBench(t, func(o *Options) { o.IgnorePackageManager = false })
	asked := 0
	pkg, failure := &owner.Package{Manager: "dpkg", Name: "hello", Upgrade: "apt-get install --only-upgrade hello"}, error(nil)
	b.askOwner = func(_ context.Context, path string) (*owner.Package, error) {
		if asked++; path != b.path {
			t.Errorf("asked for %s", path)
		}
		return pkg, failure
	}
	b.lock()
	payload := candidate(t, "9.9.2-good")
	b.source.offer("9.9.2-good", payload)
	for _, r := range []Request{{}, {Manual: true}, {Manual: true, Force: true}} {
		_, err := b.Upgrade(t.Context(), r)
		wantError(t, err, Permission, "package-owned")
		var a interface{ Hint() string }
		if !errors.As(err, &a) || a.Hint() != "to update it: "+pkg.Upgrade {
			t.Errorf("%v does not name the command", err)
		}
	}
	if s := b.status(); s.Owner == nil || s.Owner.Name != "hello" || s.CheckReason != "package-owned" || !s.Automatic || asked != 1 {
		t.Errorf("asked %d times; status %+v", asked, s)
	}
	if b.installed() != oldBytes {
		t.Error("it was replaced")
	}

	// Another file: nobody knows, and that is no reason to stay old for ever.
	b.Unlock()
	if err := os.Remove(b.path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.path, []byte(oldBytes), 0o751); err != nil {
		t.Fatal(err)
	}
	pkg, failure = nil, errors.New("locked")
	if _, err := b.Upgrade(t.Context(), Request{}); err != nil || asked != 2 || b.status().Owner != nil {
		t.Errorf("asked %d times, %v", asked, err)
	}
	if b.installed() != string(payload) {
		t.Error("it was not replaced")
	}
}

// A question that was cut off is no answer.
func TestPackageOwnedInterrupted(t *testing.T) {
	b := newBench(t, func(o *Options) { o.IgnorePackageManager = false })
	ctx, cancel := context.WithCancel(t.Context())
	b.askOwner = func(ctx context.Context, _ string) (*owner.Package, error) { cancel(); return nil, ctx.Err() }
	b.findPackage(ctx)
	b.askOwner = func(context.Context, string) (*owner.Package, error) { return &owner.Package{Name: "hello"}, nil }
	b.findPackage(t.Context())
	if s := b.status(); s.Owner == nil {
		t.Error("it was not asked again")
	}
}
