package main

import (
	"bytes"
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
)

// broken is a store that ends after some writes, as if its process were killed.
type broken struct {
	directory
	left int
}

var errKilled = errors.New("killed")

func (b *broken) put(ctx context.Context, path string, src body, length int64, was *object) error {
	if b.left--; b.left < 0 {
		return errKilled
	}
	return b.directory.put(ctx, path, src, length, was)
}

func newMirror(from place, to store) *mirror {
	return &mirror{from: from, to: to, jobs: 1, now: time.Now, sending: func(int, int64) {}, sent: func(tuf.FeedFile) {}}
}

// Wherever a sync ends, readers, old and new ones, see the old feed or the new one, and the next sync completes it.
func TestSyncInterrupted(t *testing.T) {
	r := smallFeed(t)
	want(t, 0, "sync", "feed", "base")
	publishSmall(t, r, "1.2.0")
	for left := 0; ; left++ {
		dir := filepath.Join(t.TempDir(), "served")
		want(t, 0, "sync", "base", dir)
		srv := httptest.NewServer(static{openRoot(t, dir)})
		old := newClient(t, srv.URL, nil)
		wantBeta(t, old, "1.1.0")
		_, err := newMirror(&directory{dir: "feed"}, &broken{directory{dir: dir}, left}).run(t.Context())
		if err == nil {
			if left < 5 {
				t.Errorf("complete after %d files", left)
			}
			wantBeta(t, old, "1.2.0")
			srv.Close()
			return
		}
		if !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		wantBeta(t, old, "1.1.0")
		wantBeta(t, newClient(t, srv.URL, nil), "1.1.0")
		want(t, 0, "sync", "feed", dir)
		wantBeta(t, old, "1.2.0")
		wantBeta(t, newClient(t, srv.URL, nil), "1.2.0")
		srv.Close()
	}
}

// An online key that was exchanged while its old one was at hand is no moment for anybody: wherever the sync ends, and between any two of its
// files, readers with the old root and new ones see the old feed or the new one.
func TestSyncExchangedKey(t *testing.T) {
	smallFeed(t)
	want(t, 0, "sync", "feed", "base")
	want(t, 0, "root", "rotate", "feed", "online", "--yes", "--plaintext-keys")
	roots, err := filepath.Glob("feed/metadata/2.root.json")
	if err != nil || len(roots) != 1 {
		t.Fatalf("the key was not exchanged: %v, %v", roots, err)
	}
	for left := 0; ; left++ {
		dir := filepath.Join(t.TempDir(), "served")
		want(t, 0, "sync", "base", dir)
		srv := httptest.NewServer(static{openRoot(t, dir)})
		old := newClient(t, srv.URL, nil)
		wantBeta(t, old, "1.1.0")
		_, err := newMirror(&directory{dir: "feed"}, &broken{directory{dir: dir}, left}).run(t.Context())
		wantBeta(t, old, "1.1.0")
		wantBeta(t, newClient(t, srv.URL, nil), "1.1.0")
		srv.Close()
		if err == nil {
			if left < 3 {
				t.Errorf("complete after %d files", left)
			}
			break
		}
		if !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
	}
}

// watched notes which files were complete when a file was begun.
type watched struct {
	directory
	mu    sync.Mutex
	done  []string
	early []string // begun before everything that leads there was complete
	want  func(path string) int
}

func (w *watched) put(ctx context.Context, path string, src body, length int64, was *object) error {
	w.mu.Lock()
	if len(w.done) < w.want(path) {
		w.early = append(w.early, path)
	}
	w.mu.Unlock()
	time.Sleep(2 * time.Millisecond) // others may begin
	err := w.directory.put(ctx, path, src, length, was)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = append(w.done, path)
	return err
}

// However many are sent at a time, what is led to is complete before what leads there begins.
func TestSyncOrder(t *testing.T) {
	smallFeed(t)
	files, _ := syncDoc(t, "feed", "copy", "--dry-run")
	targets := 0
	for _, path := range files {
		if strings.HasPrefix(path, "targets/") {
			targets++
		}
	}
	w := &watched{directory: directory{dir: "copy"}, want: func(path string) int {
		switch {
		case path == timestampPath:
			return len(files) - 1
		case rootRule.MatchString(path):
			return len(files) - 2
		case metadataRule.MatchString(path):
			return targets
		}
		return 0
	}}
	m := newMirror(&directory{dir: "feed"}, w)
	m.jobs = 8
	if _, err := m.run(t.Context()); err != nil || len(w.early) > 0 || len(w.done) != len(files) {
		t.Errorf("%v: too early: %v", err, w.early)
	}
}

// wantBeta is a whole check and a download by the client that servers use.
func wantBeta(t *testing.T, c *tuf.Client, version string) {
	t.Helper()
	if got, err := betaOf(t.Context(), c); err != nil || got != version {
		t.Fatalf("a server sees %q, %v; want %s", got, err, version)
	}
}

func betaOf(ctx context.Context, c *tuf.Client) (string, error) {
	if err := c.Refresh(ctx); err != nil {
		return "", err
	}
	ix, err := c.Index(ctx, "beta", release.Platform{OS: "linux", Arch: "amd64"})
	if err != nil {
		return "", err
	}
	newest, err := ix.Latest()
	if err != nil {
		return "", err
	}
	return newest.Version.String(), c.Fetch(ctx, newest.Artifact.Full, new(bytes.Buffer))
}

// What another publisher left, or is writing at this moment, is told apart by its age.
func TestSyncMeetsFilesOfAnother(t *testing.T) {
	r := smallFeed(t)
	want(t, 0, "sync", "feed", "served")
	want(t, 0, "sync", "feed", "mine")
	mine, err := tuf.Open("mine", tuf.OpenOptions{KeyDir: "feed-keys"})
	if err != nil {
		t.Fatal(err)
	}
	publishSmall(t, mine, "1.3.0")
	publishSmall(t, r, "1.2.0")
	// The other one wrote all but the timestamp.
	contents, err := tuf.ReadContents(t.Context(), nil, reader(&directory{dir: "mine"}))
	if err != nil {
		t.Fatal(err)
	}
	other := newMirror(&directory{dir: "mine"}, &broken{directory{dir: "served"}, len(contents.Files())})
	p, err := other.plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other.to.(*broken).left = len(p.send) - 1
	if _, err := other.run(t.Context()); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	if code, _, stderr := moult(t, "sync", "feed", "served"); code != exitRetry || !strings.Contains(stderr, "hint: another sync is under way") {
		t.Errorf("beside another sync: %d %s", code, stderr)
	}
	later := newMirror(&directory{dir: "feed"}, &directory{dir: "served"})
	later.now = func() time.Time { return time.Now().Add(2 * settled) }
	if _, err := later.run(t.Context()); err != nil {
		t.Fatalf("after it was broken off: %v", err)
	}
	want(t, 0, "verify", "served", "--root=feed/metadata/1.root.json")
	if code, _, _ := moult(t, "sync", "mine", "served"); code == 0 {
		t.Error("the other one's comes after all")
	}
}

func TestSyncDelete(t *testing.T) {
	r := smallFeed(t)
	want(t, 0, "sync", "feed", "served")
	publishSmall(t, r, "1.2.0")
	want(t, 0, "sync", "feed", "served")
	var old []string // named by the first publication only
	contents, err := tuf.ReadContents(t.Context(), nil, reader(&directory{dir: "served"}))
	if err != nil {
		t.Fatal(err)
	}
	for path := range tree(t, "served") {
		if path != ".lock" && !named(contents, path) {
			old = append(old, path)
		}
	}
	slices.Sort(old)
	if len(old) < 4 {
		t.Fatalf("out of use: %v", old)
	}
	keep := []string{"served/metadata/77.root.json", "served/root.key", "served/targets/notes.txt"}
	for _, path := range keep {
		if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	at := func(hours int, dryRun bool) []string {
		m := newMirror(&directory{dir: "feed"}, &directory{dir: "served"})
		m.remove, m.grace, m.dryRun = true, 24*time.Hour, dryRun
		m.now = func() time.Time { return time.Now().Add(time.Duration(hours) * time.Hour) }
		p, err := m.run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return p.remove
	}
	if got := at(23, false); len(got) > 0 {
		t.Errorf("removed within the grace: %v", got)
	}
	publishSmall(t, r, "1.3.0")
	// The publication before this one was just made, whatever the age of files: servers were led to it until now.
	if err := os.Chtimes("served/"+old[0], time.Time{}, time.Now().Add(-48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := at(0, false); len(got) > 0 {
		t.Errorf("removed while the last publication is young: %v", got)
	}
	// A file that came since may belong to a publication that is on its way.
	fresh := "served/targets/1.9.0/" + strings.Repeat("ab", 32) + ".hello"
	if err := os.MkdirAll(filepath.Dir(fresh), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(fresh, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(fresh, time.Time{}, time.Now().Add(20*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := at(25, true); slices.Contains(got, strings.TrimPrefix(fresh, "served/")) || len(got) == 0 {
		t.Errorf("a file of five hours ago is to go: %v", got)
	}
	// What the publication before names stays, however old it is: servers were led to it until now.
	before, err := tuf.ReadContents(t.Context(), nil, reader(&directory{dir: "served"}))
	if err != nil {
		t.Fatal(err)
	}
	publishSmall(t, r, "1.4.0")
	for _, path := range at(25, true) {
		if named(before, path) {
			t.Errorf("%s is to go, and was in use", path)
		}
	}
	if got := at(25, true); !slices.Contains(got, old[0]) {
		t.Errorf("planned %v", got)
	}
	if got := at(25, false); len(got) < len(old) || !slices.Contains(got, old[len(old)-1]) {
		t.Errorf("removed %v, want at least %v", got, old)
	}
	for _, path := range keep {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	want(t, 0, "verify", "served", "--root=feed/metadata/1.root.json")
	at(50, false) // what only the one before named
	if got := at(50, false); len(got) > 0 {
		t.Errorf("removed again: %v", got)
	}
}
