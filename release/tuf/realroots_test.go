package tuf

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
)

const realRoots = "../../testdata/feed/roots"

// readChain returns the roots of a directory by ascending version.
func readChain(t *testing.T, dir string) (versions []int, files [][]byte) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	byVersion := map[int][]byte{}
	for _, e := range entries {
		v, err := strconv.Atoi(e.Name()[:len(e.Name())-len(".root.json")])
		if err != nil {
			t.Fatal(err)
		}
		if byVersion[v], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
		versions = append(versions, v)
	}
	slices.Sort(versions)
	for _, v := range versions {
		files = append(files, byVersion[v])
	}
	return versions, files
}

// walkRoots is a host that embeds the first root and meets a feed that has the others and nothing else. It returns the version
// that the host's cache trusts then.
func walkRoots(t *testing.T, versions []int, files [][]byte) (int64, error) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i, v := range versions[1:] {
			if path.Base(r.URL.Path) == strconv.Itoa(v)+".root.json" {
				w.Write(files[i+1])
				return
			}
		}
		http.NotFound(w, r)
	}))
	defer srv.Close()
	c, err := NewClient(srv.URL, files[0], t.TempDir(), ClientOptions{})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	walked := c.Refresh(t.Context()) // it has no timestamp
	b, err := c.cache.prepare()
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := trustedmetadata.New(b)
	if err != nil {
		t.Fatal(err)
	}
	return trusted.Root.Signed.Version, walked
}

// TestRealRoots: roots that the public trusts are read, each from the one before it; testdata/feed/roots/README.md says where
// they are from. Nothing is trusted past one that is left out.
func TestRealRoots(t *testing.T) {
	dirs, err := filepath.Glob(realRoots + "/*/*.root.json")
	if err != nil || len(dirs) < 10 {
		t.Fatalf("roots: %v, %v", dirs, err)
	}
	for i := range dirs {
		dirs[i] = filepath.Dir(dirs[i])
	}
	for _, dir := range slices.Compact(dirs) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			versions, files := readChain(t, dir)
			last := int64(versions[len(versions)-1])
			if got, err := walkRoots(t, versions, files); got != last || len(files) > 1 && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrExpired) {
				t.Errorf("walked to %d of %d: %v", got, last, err)
			}
			for i := 1; i < len(files); i++ {
				before := int64(versions[i-1])
				if got, _ := walkRoots(t, slices.Concat(versions[:i], versions[i+1:]), slices.Concat(files[:i], files[i+1:])); got != before {
					t.Errorf("without root %d the host trusts root %d", versions[i], got)
				}
				if i+1 == len(files) {
					continue
				}
				moved := slices.Concat(files[:i], files[i+1:], files[i+1:][:1])
				if got, err := walkRoots(t, versions, moved); got != before || !errors.Is(err, ErrRollback) && !errors.Is(err, ErrBadSignature) {
					t.Errorf("with root %d in the place of %d the host trusts root %d, %v", versions[i+1], versions[i], got, err)
				}
			}
		})
	}
}

// TestRealRootsRefused: chains that others made to be refused.
func TestRealRootsRefused(t *testing.T) {
	dirs, err := filepath.Glob(realRoots + "/refused/*")
	if err != nil || len(dirs) < 2 {
		t.Fatalf("roots: %v, %v", dirs, err)
	}
	for _, dir := range dirs {
		versions, files := readChain(t, dir)
		if got, err := walkRoots(t, versions, files); got != int64(versions[0]) || !errors.Is(err, ErrBadSignature) && !errors.Is(err, ErrRollback) {
			t.Errorf("%s: walked to %d, %v", filepath.Base(dir), got, err)
		}
	}
}

// TestRealRootsChangedByOneByte: whatever byte of a root is changed, it is refused, or it is one that no signature covers: a
// signature more than the threshold, white space, the case of a digit of a signature.
func TestRealRootsChangedByOneByte(t *testing.T) {
	step := 397
	if os.Getenv("MOULT_PROMISES") == "full" {
		step = 31
	}
	refused, harmless := 0, 0
	for _, name := range []string{"sigstore", "go-tuf-threshold-4"} {
		_, files := readChain(t, filepath.Join(realRoots, name))
		for n := 1; n < len(files); n++ {
			want := signedPart(t, files[n])
			for i := n % step; i < len(files[n]); i += step {
				b := bytes.Clone(files[n])
				b[i] ^= 1
				c, err := openCache(t.TempDir(), files[n-1], slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				if err = wellFormed(metadata.ROOT, b); err == nil {
					err = c.addRoots([][]byte{b})
				}
				switch {
				case err != nil:
					refused++
				case !bytes.Equal(signedPart(t, b), want):
					t.Fatalf("%s: root with byte %d changed is trusted: %s", name, i, b[max(0, i-40):i+40])
				default:
					harmless++
				}
			}
		}
	}
	if refused == 0 || harmless > refused {
		t.Errorf("%d refused, %d harmless", refused, harmless)
	}
}

// FuzzNextRoot: whatever comes as the next root, nothing is trusted but what the holders of the keys signed, and nothing panics.
func FuzzNextRoot(f *testing.F) {
	embedded, err := os.ReadFile(realRoots + "/go-tuf-rotated/1.root.json")
	if err != nil {
		f.Fatal(err)
	}
	files, _ := filepath.Glob(realRoots + "/go-tuf-*/*.root.json")
	refused, _ := filepath.Glob(realRoots + "/refused/*/*.root.json")
	for _, file := range append(files, refused...) {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	trueNext, err := os.ReadFile(realRoots + "/go-tuf-rotated/2.root.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if wellFormed(metadata.ROOT, b) != nil {
			return
		}
		trusted, err := trustedmetadata.New(embedded)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := trusted.UpdateRoot(b); err != nil { // unguarded: what is well formed must not make it panic
			return
		}
		same := [][]byte{signedPart(t, trueNext)}
		for _, file := range files {
			seed, _ := os.ReadFile(file)
			same = append(same, signedPart(t, seed))
		}
		if !slices.ContainsFunc(same, func(s []byte) bool { return bytes.Equal(s, signedPart(t, b)) }) {
			t.Errorf("trusted: %s", b)
		}
	})
}

func signedPart(t *testing.T, b []byte) []byte {
	t.Helper()
	m, err := metadata.Root().FromBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := m.Signed.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// TestRealRootsAreWhatTheReadmeSays, and are all in it.
func TestRealRootsAreWhatTheReadmeSays(t *testing.T) {
	page, err := os.ReadFile(realRoots + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| (\S+\.root\.json) \| \S+@v\S+ \| \S+ \| \S+ \| ([0-9a-f]{64}) \|$`).FindAllStringSubmatch(string(page), -1) {
		listed[m[1]] = m[2]
	}
	files, _ := filepath.Glob(realRoots + "/*/*.root.json")
	refused, _ := filepath.Glob(realRoots + "/refused/*/*.root.json")
	for _, file := range append(files, refused...) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name, _ := filepath.Rel(realRoots, file)
		d := sha256.Sum256(b)
		if listed[filepath.ToSlash(name)] != hex.EncodeToString(d[:]) {
			t.Errorf("%s: sha256 %x", name, d)
		}
		delete(listed, filepath.ToSlash(name))
	}
	if len(listed) != 0 {
		t.Errorf("not there: %v", listed)
	}
}
