package main

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
