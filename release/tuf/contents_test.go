package tuf

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
)

// readDir is how a directory is read.
func readDir(dir string) ReadFunc {
	return func(_ context.Context, path string, limit int64) ([]byte, error) {
		return readCapped(filepath.Join(dir, filepath.FromSlash(path)), limit)
	}
}

func TestReadContents(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	f.publish("1.1.0", "beta", "two")
	if _, err := f.repo.Promote(t.Context(), PromoteRequest{Version: release.MustParseVersion("1.0.0")}); err != nil {
		t.Fatal(err)
	}
	for _, stray := range []string{"metadata/.new-1", "targets/1.0.0/notes.txt", "root.key", "metadata/9.targets.json"} {
		if err := os.WriteFile(filepath.Join(f.repo.dir, stray), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := ReadContents(t.Context(), f.root, readDir(f.repo.dir))
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, file := range c.Files() {
		sum, n, err := release.DigestFile(filepath.Join(f.repo.dir, filepath.FromSlash(file.Path)))
		if err != nil || sum != file.SHA256 || n != file.Length {
			t.Errorf("%s: %v", file.Path, err)
		}
		dir, name := filepath.Split(filepath.FromSlash(file.Path))
		if _, plain, ok := strings.Cut(name, "."); ok && strings.HasPrefix(file.Path, "targets/") {
			name = plain // without the digest
		}
		kinds = append(kinds, filepath.ToSlash(dir)+name)
	}
	slices.Sort(kinds[:2]) // payloads have no order among themselves
	want := []string{
		"targets/1.0.0/hello-linux-amd64", "targets/1.1.0/hello-linux-amd64",
		"targets/beta/linux-amd64.json", "targets/feed.json", "targets/stable/linux-amd64.json", "targets/brake.json",
		"metadata/4.targets.json", "metadata/1.brake.json", "metadata/4.snapshot.json", "metadata/1.root.json", "metadata/timestamp.json",
	}
	if !slices.Equal(kinds, want) || c.Version != 4 || c.Snapshot != 4 {
		t.Errorf("files, in order:\n%s\nversion %d, snapshot %d", strings.Join(kinds, "\n"), c.Version, c.Snapshot)
	}
}

// Whatever is missing or changed is found, but for the bytes of payloads.
func TestReadContentsRefuses(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	c, err := ReadContents(t.Context(), nil, readDir(f.repo.dir))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadContents(t.Context(), newFeed(t).root, readDir(f.repo.dir)); !errors.Is(err, ErrOtherFeed) {
		t.Errorf("another root: %v", err)
	}
	for _, file := range c.Files()[len(c.Payloads):] {
		path := filepath.Join(f.repo.dir, filepath.FromSlash(file.Path))
		changed := bytes.Replace(file.Content, []byte("hello"), []byte("hullo"), 1)
		if strings.HasPrefix(file.Path, "metadata/") {
			changed = bytes.Replace(file.Content, []byte("20"), []byte("21"), 1) // white space is no part of what is signed
		}
		if bytes.Equal(changed, file.Content) {
			t.Fatalf("%s was not changed", file.Path)
		}
		if err := os.WriteFile(path, changed, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadContents(t.Context(), f.root, readDir(f.repo.dir)); err == nil {
			t.Errorf("%s: changed, and not found out", file.Path)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadContents(t.Context(), f.root, readDir(f.repo.dir)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: missing: %v", file.Path, err)
		}
		if err := os.WriteFile(path, file.Content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// A byte that is no digit of a signature is a file that is no metadata, in the first root as anywhere.
func TestReadContentsNotHexadecimal(t *testing.T) {
	f := newFeed(t)
	path := filepath.Join(f.repo.dir, "metadata", "1.root.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, []byte(`"sig":`)) + len(`"sig":`)
	at += bytes.IndexByte(b[at:], '"') + 1
	b[at] = '`'
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadContents(t.Context(), nil, readDir(f.repo.dir)); !errors.Is(err, ErrMalformed) {
		t.Errorf("got %v", err)
	}
}

// A publisher's own targets key must not make others write outside the feed.
func TestReadContentsRefusesPathsThatLeadOut(t *testing.T) {
	f := newFeed(t)
	for _, path := range []string{"../../x.json", "/x.json", "a//b.json", "./x.json"} {
		w := &walk{seen: make(map[string]bool)}
		if _, err := w.file(path, 1, release.Digest{1}); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := f.repo.publishTargets(t.Context(), map[string][]byte{"a/../../../x.json": []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadContents(t.Context(), f.root, readDir(f.repo.dir)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a target that leads out: %v", err)
	}
}

// FuzzReadContents: with any one file of a feed replaced, it is refused by an error that says what is wrong, or reads as before.
func FuzzReadContents(f *testing.F) {
	dir := filepath.Join(f.TempDir(), "feed")
	// The same files in each of the processes that fuzz.
	key := func(n byte) []Signer {
		return []Signer{&Key{private: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))}}
	}
	day := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	repo, err := Init(f.Context(), dir, InitOptions{App: "hello", Keys: Keys{key(1), key(2), key(3)}, Now: func() time.Time { return day }})
	if err != nil {
		f.Fatal(err)
	}
	root, err := os.ReadFile(repo.RootFile())
	if err != nil {
		f.Fatal(err)
	}
	files := map[string][]byte{}
	read := func(_ context.Context, path string, limit int64) ([]byte, error) {
		if b, ok := files[path]; ok {
			return b[:min(int64(len(b)), limit)], nil
		}
		b, err := readCapped(filepath.Join(dir, path), limit)
		return b, err
	}
	honest, err := ReadContents(f.Context(), root, read)
	if err != nil {
		f.Fatal(err)
	}
	all := honest.Files()
	for i, file := range all {
		f.Add(i, file.Content)
		f.Add(i, signatures.ReplaceAll(file.Content, []byte(`"signatures":[]`)))
	}
	f.Fuzz(func(t *testing.T, i int, b []byte) {
		path := all[uint(i)%uint(len(all))].Path
		files[path] = b
		defer delete(files, path)
		c, err := ReadContents(t.Context(), root, read)
		if err != nil {
			if !known(err) && !errors.Is(err, ErrOversized) && !errors.Is(err, ErrOtherFeed) && !errors.Is(err, ErrNotFound) && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: unsorted error: %v", path, err)
			}
			return
		}
		for j, file := range c.Files() { // what is no part of what was signed may differ: spaces, more signatures
			if j >= len(all) || file.Path != all[j].Path || file.SHA256 != all[j].SHA256 && !sameSigned(file.Content, all[j].Content) {
				t.Errorf("%s: another %s: %s", path, file.Path, file.Content)
			}
		}
	})
}

func sameSigned(a, b []byte) bool {
	part := func(b []byte) (signed any) {
		var m struct{ Signed json.RawMessage }
		if json.Unmarshal(b, &m) == nil {
			json.Unmarshal(m.Signed, &signed)
		}
		return signed
	}
	return reflect.DeepEqual(part(a), part(b))
}
