package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/http"
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

// tree lists the files of a directory with their digests.
func tree(t *testing.T, dir string) map[string]release.Digest {
	t.Helper()
	all := make(map[string]release.Digest)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		all[filepath.ToSlash(name)], _, err = release.DigestFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func syncDoc(t *testing.T, args ...string) (sent, removed []string) {
	t.Helper()
	doc := document(t, want(t, 0, append([]string{"sync", "--json"}, args...)...))
	list := func(name string) (all []string) {
		for _, v := range doc[name].([]any) {
			all = append(all, v.(string))
		}
		return all
	}
	return list("sent"), list("removed")
}

func TestSyncDirectories(t *testing.T) {
	r := smallFeed(t)
	for _, stray := range []string{"feed/root.key", "feed/targets/stray", "feed/metadata/99.targets.json", "feed/metadata/.new-x"} {
		if err := os.WriteFile(stray, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	planned, _ := syncDoc(t, "feed", "copy", "--dry-run")
	if _, err := os.Stat("copy"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a dry run left something: %v", err)
	}
	sent, _ := syncDoc(t, "feed", "copy")
	if !slices.Equal(sent, planned) || sent[len(sent)-1] != timestampPath {
		t.Errorf("planned %v\nsent    %v", planned, sent)
	}
	of, in := tree(t, "feed"), tree(t, "copy")
	for path, d := range in {
		if path != ".lock" && (d != of[path] || !slices.Contains(sent, path)) {
			t.Errorf("%s was copied", path)
		}
	}
	if len(in) != len(sent)+1 {
		t.Errorf("%d files for %d sent and a lock", len(in), len(sent))
	}
	want(t, 0, "verify", "copy", "--root=feed/metadata/1.root.json")
	if sent, _ := syncDoc(t, "feed", "copy"); len(sent) != 0 {
		t.Errorf("the second time: %v", sent)
	}
	publishSmall(t, r, "1.2.0")
	if sent, _ := syncDoc(t, "feed", "copy"); len(sent) != 7 { // two payloads, two indexes, targets, snapshot, timestamp
		t.Errorf("of a new release: %v", sent)
	}
	if d := tree(t, "copy"); d[timestampPath] != tree(t, "feed")[timestampPath] {
		t.Error("the timestamp is another one")
	}
	// What was damaged there is mended.
	payload := glob(t, "copy/targets/1.2.0/*amd64*")
	if err := os.WriteFile(payload, []byte("short"), 0o644); err != nil {
		t.Fatal(err)
	}
	if sent, _ := syncDoc(t, "feed", "copy"); len(sent) != 1 {
		t.Errorf("mended %v", sent)
	}
	want(t, 0, "verify", "copy", "--root=feed/metadata/1.root.json")
}

// A feed that is not whole is not sent, not even in part.
func TestSyncChecksFirst(t *testing.T) {
	smallFeed(t)
	files, _ := syncDoc(t, "feed", "nowhere", "--dry-run")
	for _, path := range files {
		good, err := os.ReadFile("feed/" + path)
		if err != nil {
			t.Fatal(err)
		}
		bad := bytes.Clone(good)
		bad[len(bad)/2] ^= 1
		if err := os.WriteFile("feed/"+path, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		want(t, exitVerify, "sync", "feed", "copy")
		if err := os.Remove("feed/" + path); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := moult(t, "sync", "feed", "copy"); code == 0 {
			t.Errorf("without %s: %s", path, stderr)
		}
		if n := len(tree(t, "copy")); n > 1 { // the lock
			t.Fatalf("without %s: %d files were sent", path, n)
		}
		if err := os.WriteFile("feed/"+path, good, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSyncGuards(t *testing.T) {
	r := smallFeed(t)
	want(t, 0, "sync", "feed", "served")
	want(t, 0, "sync", "served", "mine")
	publishSmall(t, r, "1.2.0")
	want(t, 0, "sync", "feed", "served")
	before := tree(t, "served")
	// An old copy must not take the place of a newer one.
	if _, _, stderr := moult(t, "sync", "mine", "served"); !strings.Contains(stderr, "newer") || !strings.Contains(stderr, "pull it first") {
		t.Errorf("an old copy: %s", stderr)
	}
	want(t, exitFailed, "sync", "mine", "served")
	// Two publishers, each with a publication of the same number.
	mine, err := tuf.Open("mine", tuf.OpenOptions{KeyDir: "feed-keys"})
	if err != nil {
		t.Fatal(err)
	}
	publishSmall(t, mine, "1.3.0")
	if code, _, stderr := moult(t, "sync", "mine", "served"); code != exitFailed || !strings.Contains(stderr, "same number") {
		t.Errorf("two publishers: %d %s", code, stderr)
	}
	if err := mine.Refresh(t.Context()); err != nil { // its timestamp is ahead now, its snapshot is not
		t.Fatal(err)
	}
	if code, _, stderr := moult(t, "sync", "mine", "served"); code != exitFailed || !strings.Contains(stderr, "same number") {
		t.Errorf("two publishers, one ahead: %d %s", code, stderr)
	}
	// Two who refresh: nothing but the timestamps differs.
	for i, dir := range []string{"first", "second"} {
		want(t, 0, "sync", "served", dir)
		p, err := tuf.Open(dir, tuf.OpenOptions{KeyDir: "feed-keys", Now: func() time.Time { return time.Now().Add(time.Duration(i) * time.Minute) }})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if code, _, stderr := moult(t, "sync", "first", "second"); code != exitFailed || !strings.Contains(stderr, "same number") {
		t.Errorf("two who refresh: %d %s", code, stderr)
	}
	// Another feed.
	if _, err := tuf.Init(t.Context(), "other", tuf.InitOptions{App: "hello", PlaintextKeys: true}); err != nil {
		t.Fatal(err)
	}
	want(t, exitVerify, "sync", "other", "served")
	want(t, exitVerify, "sync", "feed", "new", "--root=other/metadata/1.root.json")
	want(t, exitFailed, "sync", "other-keys", "new")
	if after := tree(t, "served"); !equalTrees(before, after) {
		t.Errorf("a refusal changed what is served")
	}
	for _, args := range []string{"sync", "sync feed", "sync feed ftp://x/y", "sync feed https://example.com/x", "sync nowhere new", "sync s3:// feed", "sync feed new --jobs 0",
		"sync feed s3://b/x --s3-endpoint example.com"} {
		want(t, exitUsage, strings.Fields(args)...)
	}
}

func equalTrees(a, b map[string]release.Digest) bool {
	if len(a) != len(b) {
		return false
	}
	for path, d := range a {
		if b[path] != d {
			return false
		}
	}
	return true
}

// A URL brings a feed here as its readers see it, and every byte is checked.
func TestSyncFromURL(t *testing.T) {
	r := smallFeed(t)
	url := serve(t, "feed")
	sent, _ := syncDoc(t, url, "copy", "--root=feed/metadata/1.root.json")
	if in := tree(t, "copy"); len(in) != len(sent)+1 {
		t.Errorf("%d files for %d", len(in), len(sent))
	}
	if sent, _ := syncDoc(t, url, "copy"); len(sent) != 0 {
		t.Errorf("the second time: %v", sent)
	}
	// On top of the copy one can publish.
	mine, err := tuf.Open("copy", tuf.OpenOptions{KeyDir: "feed-keys"})
	if err != nil {
		t.Fatal(err)
	}
	publishSmall(t, mine, "1.2.0")
	want(t, 0, "sync", "copy", "feed")
	want(t, 0, "verify", "feed", "--root=feed/metadata/1.root.json")
	publishSmall(t, r, "1.3.0")
	// A payload that is not what was signed for is not written, and the copy stays what it was.
	payload := glob(t, "feed/targets/1.3.0/*amd64*")
	b, err := os.ReadFile(payload)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(payload, b, 0o644); err != nil {
		t.Fatal(err)
	}
	before := tree(t, "copy")[timestampPath]
	want(t, exitVerify, "sync", url, "copy")
	if tree(t, "copy")[timestampPath] != before {
		t.Error("the copy has the new timestamp")
	}
	want(t, 0, "verify", "copy", "--root=feed/metadata/1.root.json")
	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" && strings.Contains(r.URL.Path, "hello-linux") {
			w.Header().Set("Content-Length", "1000")
			w.Write([]byte("the beginning"))
			http.NewResponseController(w).Flush() // it has begun
			panic(http.ErrAbortHandler)
		}
		static{openRoot(t, "feed")}.ServeHTTP(w, r)
	}))
	defer cut.Close()
	want(t, exitRetry, "sync", cut.URL, "another")
	want(t, exitRetry, "sync", "http://127.0.0.1:1/", "copy")
	want(t, exitVerify, "sync", url+"/none", "copy")
}

// A file that takes the place of another is of a later second: tags are made of that.
func TestDirectoryGivesEachFileItsSecond(t *testing.T) {
	d := &directory{dir: t.TempDir()}
	var last time.Time
	for i, content := range []string{"one", "two", "six"} {
		var was *object
		if i > 0 {
			was = &object{modified: last}
		}
		if err := d.put(t.Context(), timestampPath, strings.NewReader(content), 3, was); err != nil {
			t.Fatal(err)
		}
		all, err := d.list(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		now := all[timestampPath].modified
		if now.Unix() <= last.Unix() {
			t.Errorf("%q: %v after %v", content, now, last)
		}
		last = now
	}
}

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
