package tuf

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moult-go/moult/release"
)

// rotation is one way of changing the root: what it needs at hand, and whether readers may be told of a bad signature while it lasts.
type rotation struct {
	name   string
	edit   func(t *testing.T, f *feed, c *RootChange, fresh Signer)
	hand   func(k *Keys, fresh Signer)
	window bool

	everywhere bool // stopped at every write in short runs too
}

var rotations = []rotation{
	{name: "root key", everywhere: true, edit: func(t *testing.T, f *feed, c *RootChange, fresh Signer) {
		check(t, c.AddKey(RootRole, fresh.PublicKey()))
		check(t, c.RevokeKey(RootRole, idOf(t, f.repo.keys.Root[0])))
	}, hand: func(k *Keys, fresh Signer) {}},
	{name: "one root key more, two must sign", edit: func(t *testing.T, f *feed, c *RootChange, fresh Signer) {
		check(t, c.AddKey(RootRole, fresh.PublicKey()))
		c.SetThreshold(RootRole, 2)
	}, hand: func(k *Keys, fresh Signer) {}},
	{name: "online key", everywhere: true, edit: func(t *testing.T, f *feed, c *RootChange, fresh Signer) {
		check(t, c.AddKey(OnlineRole, fresh.PublicKey()))
		check(t, c.RevokeKey(OnlineRole, idOf(t, f.repo.keys.Online[0])))
	}, hand: func(k *Keys, fresh Signer) { k.Online = append(k.Online, fresh) }},
	{name: "targets key", edit: func(t *testing.T, f *feed, c *RootChange, fresh Signer) {
		check(t, c.AddKey(TargetsRole, fresh.PublicKey()))
		check(t, c.RevokeKey(TargetsRole, idOf(t, f.repo.keys.Targets[0])))
	}, hand: func(k *Keys, fresh Signer) { k.Targets = append(k.Targets, fresh) }},
	{name: "two targets keys must sign", edit: func(t *testing.T, f *feed, c *RootChange, fresh Signer) {
		check(t, c.AddKey(TargetsRole, fresh.PublicKey()))
		c.SetThreshold(TargetsRole, 2)
	}, hand: func(k *Keys, fresh Signer) { k.Targets = append(k.Targets, fresh) }},
	{name: "one online key more", edit: func(t *testing.T, f *feed, c *RootChange, fresh Signer) {
		check(t, c.AddKey(OnlineRole, fresh.PublicKey()))
	}, hand: func(k *Keys, fresh Signer) { k.Online = append(k.Online, fresh) }},
	{name: "one online key more, the old one lost", edit: func(t *testing.T, f *feed, c *RootChange, fresh Signer) {
		check(t, c.AddKey(OnlineRole, fresh.PublicKey()))
	}, hand: func(k *Keys, fresh Signer) { k.Online = []Signer{fresh} }},
	{name: "online key, the old one lost", everywhere: true, window: true, edit: func(t *testing.T, f *feed, c *RootChange, fresh Signer) {
		check(t, c.AddKey(OnlineRole, fresh.PublicKey()))
		check(t, c.RevokeKey(OnlineRole, idOf(t, f.repo.keys.Online[0])))
	}, hand: func(k *Keys, fresh Signer) { k.Online = []Signer{fresh} }},
}

// A root is published under the eyes of readers: before each write, and wherever it is interrupted, a reader that knew the feed and a
// new one find the release. The next command, of another process, finishes it.
func TestPublishRootStoppedAtEveryWrite(t *testing.T) {
	if testing.Short() {
		t.Skip("minutes under the race detector, over code that other tests go through as well")
	}
	for _, r := range rotations {
		t.Run(r.name, func(t *testing.T) {
			for stop := 0; ; stop++ {
				if !r.everywhere && os.Getenv("MOULT_PROMISES") != "full" || testing.Short() && stop == 3 {
					stop = 99
				}
				if done := stopRoot(t, r, stop); done {
					return
				}
			}
		})
	}
}

// stopRoot publishes a root up to some write, then finishes it; it reports whether nothing was left to stop.
func stopRoot(t *testing.T, r rotation, stop int) (done bool) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	cache := t.TempDir()
	wantNewest(t, f.client(cache), "beta", "1.0.0")
	look := func(when string) {
		t.Helper()
		for who, dir := range map[string]string{"knowing": cache, "fresh": t.TempDir()} {
			if got, err := newest(f.client(dir), "beta"); (err != nil || got != "1.0.0") && !(r.window && errors.Is(err, ErrBadSignature)) {
				t.Errorf("%s: a %s reader: %q, %v", when, who, got, err)
			}
		}
	}
	fresh := stranger(t)[0]
	c := f.begin(func(c *RootChange) { r.edit(t, f, c, fresh) })
	for _, s := range append(slices.Clone(f.repo.keys.Root), fresh) {
		if _, err := c.Sign(t.Context(), s); err != nil && !errors.Is(err, ErrNoKey) {
			t.Fatal(err)
		}
	}
	r.hand(&f.repo.keys, fresh)
	n := 0
	f.repo.beforeWrite = func(path string) error {
		if n++; n > stop {
			return errStopped
		}
		if stop > 7 { // the longest run is watched all the way
			look("before " + filepath.Base(path))
		}
		return nil
	}
	err := f.repo.PublishRoot(t.Context(), c)
	if err != nil && !errors.Is(err, errStopped) {
		t.Fatalf("stopped at write %d: %v", stop, err)
	}
	f.repo.beforeWrite = nil
	done = err == nil
	look("stopped")
	// Another process goes on, by another command.
	next, err := Open(f.repo.dir, OpenOptions{Keys: f.repo.keys})
	check(t, err)
	if stop%2 == 1 {
		check(t, next.Refresh(t.Context()))
	} else { // at 0 nothing was written yet, not even that it began
		check(t, next.PublishRoot(t.Context(), c))
	}
	if v := next.Expiries()[0].Version; v != 2 {
		t.Errorf("stopped at write %d: root %d after the next command", stop, v)
	}
	r.window = false
	look("finished")
	f.repo = next
	f.publish("1.1.0", "beta", "two")
	wantNewest(t, f.client(cache), "beta", "1.1.0")
	wantNewest(t, f.client(t.TempDir()), "beta", "1.1.0")
	if files, err := filepath.Glob(filepath.Join(next.keyDir, "root.*")); err != nil || len(files) != 2 {
		t.Errorf("stopped at write %d: left %q, %v", stop, files, err)
	}
	return done
}

// What is missing is found before anything is written.
func TestPublishRootNeedsTheNewKeys(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	fresh := stranger(t)[0]
	for name, take := range map[string]func(k *Keys){
		"online key":  func(k *Keys) {},
		"targets key": func(k *Keys) { k.Online, k.Targets = append(slices.Clone(k.Online), fresh), nil },
	} {
		c := f.begin(func(c *RootChange) {
			check(t, c.AddKey(OnlineRole, fresh.PublicKey()))
			check(t, c.RevokeKey(OnlineRole, idOf(t, f.repo.keys.Online[0])))
		})
		if _, err := c.Sign(t.Context(), f.repo.keys.Root[0]); err != nil {
			t.Fatal(err)
		}
		before, keys := treeOf(t, f.repo.dir)+treeOf(t, f.repo.keyDir), f.repo.keys
		take(&f.repo.keys)
		if err := f.repo.PublishRoot(t.Context(), c); !errors.Is(err, ErrNoKey) {
			t.Errorf("without the %s: %v", name, err)
		}
		f.repo.keys = keys
		if after := treeOf(t, f.repo.dir) + treeOf(t, f.repo.keyDir); after != before {
			t.Errorf("without the %s: left traces", name)
		}
	}
}

// Two people change the root at once: the second one starts again from what the first one published.
func TestTwoRootChangesAtOnce(t *testing.T) {
	f := newFeed(t)
	one, two := f.begin(func(*RootChange) {}), f.begin(func(c *RootChange) { check(t, c.AddKey(RootRole, stranger(t)[0].PublicKey())) })
	for _, c := range []*RootChange{one, two} {
		if _, err := c.Sign(t.Context(), f.repo.keys.Root[0]); err != nil {
			t.Fatal(err)
		}
	}
	check(t, f.repo.PublishRoot(t.Context(), one))
	if err := f.repo.PublishRoot(t.Context(), two); !errors.Is(err, ErrRollback) {
		t.Errorf("the second one: %v", err)
	}
	// The same, but the first one was interrupted and a colleague published another root 3 from another key directory.
	three := f.begin(func(*RootChange) {})
	four := f.begin(func(c *RootChange) { check(t, c.AddKey(RootRole, stranger(t)[0].PublicKey())) })
	for _, c := range []*RootChange{three, four} {
		if _, err := c.Sign(t.Context(), f.repo.keys.Root[0]); err != nil {
			t.Fatal(err)
		}
	}
	f.repo.beforeWrite = func(path string) error {
		if strings.HasSuffix(path, "3.root.json") {
			return errStopped
		}
		return nil
	}
	if err := f.repo.PublishRoot(t.Context(), three); !errors.Is(err, errStopped) {
		t.Fatal(err)
	}
	f.repo.beforeWrite = nil
	elsewhere := t.TempDir()
	check(t, os.WriteFile(filepath.Join(elsewhere, rootCopyFile), f.root, 0o644))
	colleague, err := Open(f.repo.dir, OpenOptions{KeyDir: elsewhere, Keys: f.repo.keys})
	check(t, err)
	check(t, colleague.PublishRoot(t.Context(), four))
	check(t, f.repo.Refresh(t.Context()))
	if files, err := filepath.Glob(filepath.Join(f.repo.keyDir, "root.next*")); err != nil || len(files) != 0 {
		t.Errorf("left %q, %v", files, err)
	}
}

// A feed whose last root is of another application is not changed by a file for this one.
func TestRootChangeOfAnotherFeed(t *testing.T) {
	f, other := newFeed(t), newFeed(t)
	c := other.begin(func(*RootChange) {})
	if _, err := c.Sign(t.Context(), other.repo.keys.Root[0]); err != nil {
		t.Fatal(err)
	}
	if err := f.repo.PublishRoot(t.Context(), c); !errors.Is(err, ErrRollback) {
		t.Errorf("got %v", err)
	}
}

// The host was off through five changes of the root: of the root keys, the online key, the targets key, and from one root key to two
// of three. It follows them from the embedded root, from its cache, and when the cache is lost or broken.
func TestHostWasOff(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	caches := map[string]string{"known": t.TempDir(), "lost": t.TempDir(), "corrupted": t.TempDir(), "half": t.TempDir()}
	for _, dir := range caches {
		wantNewest(t, f.client(dir), "beta", "1.0.0")
	}
	three := []Signer{stranger(t)[0], stranger(t)[0], stranger(t)[0]}
	replace := func(role Role, k Signer) {
		old := *f.repo.keys.of(role)
		*f.repo.keys.of(role) = append(slices.Clone(old), k)
		f.change(func(c *RootChange) {
			check(t, c.AddKey(role, k.PublicKey()))
			check(t, c.RevokeKey(role, idOf(t, old[0])))
		}, f.repo.keys.Root...)
		*f.repo.keys.of(role) = []Signer{k}
	}
	replaceRoot := func() {
		k := stranger(t)[0]
		f.change(func(c *RootChange) {
			check(t, c.AddKey(RootRole, k.PublicKey()))
			check(t, c.RevokeKey(RootRole, idOf(t, f.repo.keys.Root[0])))
		}, f.repo.keys.Root[0], k)
		f.repo.keys.Root = []Signer{k}
	}
	replaceRoot()
	replace(OnlineRole, stranger(t)[0])
	replace(TargetsRole, stranger(t)[0])
	f.change(func(c *RootChange) {
		for _, k := range three {
			check(t, c.AddKey(RootRole, k.PublicKey()))
		}
		check(t, c.RevokeKey(RootRole, idOf(t, f.repo.keys.Root[0])))
		c.SetThreshold(RootRole, 2)
	}, f.repo.keys.Root[0], three[0], three[2])
	f.change(func(*RootChange) {}, three[1], three[2]) // renewed
	f.publish("1.1.0", "beta", "two")
	check(t, os.RemoveAll(caches["lost"]))
	for name, c := range map[string]*Client{"corrupted": f.client(caches["corrupted"]), "half": f.client(caches["half"])} {
		if name == "half" { // it had followed three of them when it was switched off
			f.setLie(func(w http.ResponseWriter, r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, "/5.root.json") {
					http.Error(w, "busy", http.StatusServiceUnavailable)
					return true
				}
				return false
			})
			if _, err := newest(c, "beta"); !errors.Is(err, ErrUnreachable) {
				t.Fatal(err)
			}
			f.setLie(nil)
			continue
		}
		entries, err := os.ReadDir(c.cache.dir)
		check(t, err)
		for _, e := range entries {
			check(t, os.WriteFile(filepath.Join(c.cache.dir, e.Name()), []byte("\x00broken"), 0o600))
		}
	}
	for name, dir := range caches {
		wantNewest(t, f.client(dir), "beta", "1.1.0")
		f.took()
		wantNewest(t, f.client(dir), "beta", "1.1.0")
		if got := strings.Join(f.took(), " "); got != "/metadata/7.root.json /metadata/timestamp.json" {
			t.Errorf("%s: an unchanged check after it: %q", name, got)
		}
	}
}

// A next root needs the signatures of the root before and its own, and must be the next one.
func TestNextRootIsRefused(t *testing.T) {
	f := newFeedOf(t, 3, 2)
	f.publish("1.0.0", "beta", "one")
	knowing := t.TempDir()
	wantNewest(t, f.client(knowing), "beta", "1.0.0")
	old, fresh := f.repo.keys.Root, []Signer{stranger(t)[0], stranger(t)[0]}
	next := func(skip int64, signers ...Signer) []byte {
		c := f.begin(func(c *RootChange) {
			for _, k := range fresh {
				check(t, c.AddKey(RootRole, k.PublicKey()))
			}
			for _, k := range old {
				check(t, c.RevokeKey(RootRole, idOf(t, k)))
			}
		})
		c.next.Signed.Version += skip
		b, err := sign(context.Background(), c.next, signers)
		check(t, err)
		return b
	}
	both := []Signer{old[0], old[1], fresh[0], fresh[1]}
	for name, tc := range map[string]struct {
		root []byte
		want error
	}{
		"by the old keys only":           {next(0, old...), ErrBadSignature},
		"by the new keys only":           {next(0, fresh...), ErrBadSignature},
		"by one of the old keys":         {next(0, old[0], fresh[0], fresh[1]), ErrBadSignature},
		"by one of the new keys":         {next(0, old[0], old[1], fresh[0]), ErrBadSignature},
		"by one of the old keys, twice":  {next(0, old[0], old[0], fresh[0], fresh[1]), ErrMalformed},
		"by nobody":                      {next(0), ErrBadSignature},
		"of a version that skips one":    {next(1, both...), ErrRollback},
		"of the version that is trusted": {next(-1, both...), ErrRollback},
	} {
		f.setLie(answer("/3.root.json", bytesOf(tc.root)))
		for who, dir := range map[string]string{"knowing": knowing, "fresh": t.TempDir()} {
			if got, err := newest(f.client(dir), "beta"); !errors.Is(err, tc.want) {
				t.Errorf("%s: a %s reader: %q, %v; want %v", name, who, got, err, tc.want)
			}
		}
		f.setLie(nil)
		wantNewest(t, f.client(knowing), "beta", "1.0.0")
	}
	f.setLie(answer("/3.root.json", bytesOf(next(0, both...)))) // the control: signed by all it is taken, and was not before
	wantNewest(t, f.client(knowing), "beta", "1.0.0")
	if last := f.client(knowing); last != nil {
		check(t, last.Refresh(t.Context()))
		if v := last.Expiries()[0].Version; v != 3 {
			t.Errorf("root %d", v)
		}
	}
}

// When the root keys are lost there is no way on from the old root. A program with a new embedded root reads a new feed at the same URL, in
// the same state directory, and the old program stays with what it has.
func TestLostRootKeys(t *testing.T) {
	f := newFeed(t)
	f.publish("3.0.0", "beta", "three")
	dir, oldRoot := t.TempDir(), f.root
	wantNewest(t, f.client(dir), "beta", "3.0.0")
	old := f.repo.dir
	check(t, os.RemoveAll(filepath.Join(old, metadataDir)))
	check(t, os.RemoveAll(filepath.Join(old, targetsDir)))
	repo, err := Init(t.Context(), old, InitOptions{App: "hello", KeyDir: t.TempDir(), PlaintextKeys: true})
	check(t, err)
	f.repo = repo
	if _, err := newest(f.client(dir), "beta"); !errors.Is(err, ErrBadSignature) {
		t.Errorf("a program with the old root: %v", err)
	}
	f.publish("2.0.0", "beta", "two") // older than what the old feed had: nothing of it counts here
	f.root, err = os.ReadFile(repo.RootFile())
	check(t, err)
	wantNewest(t, f.client(dir), "beta", "2.0.0")
	f.root = oldRoot
	if c := f.client(dir); release.Digest(sum(oldRoot)).Short() != filepath.Base(c.cache.dir) {
		t.Errorf("cache %s", c.cache.dir)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("caches of two roots: %v, %v", entries, err)
	}
}
