package dir

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/updater"
)

var linux = release.Platform{OS: "linux", Arch: "amd64"}

// publish lays goreleaser's own files into a directory, with a signature of the checksums.
func publish(t *testing.T, app, version string) (dir, key string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../testdata/dist/hello")); err != nil {
		t.Fatal(err)
	}
	public, private, err := release.GenerateMinisign("")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, Checksums))
	if err != nil {
		t.Fatal(err)
	}
	sig, err := release.SignChecksums(private, "", bytes.NewReader(b), release.ChecksumsComment{App: app, Version: release.MustParseVersion(version)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, Checksums+".minisig"), sig, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, public
}

func query(t *testing.T) updater.Query {
	return updater.Query{App: "hello", Platform: linux, Channel: "stable", CacheDir: t.TempDir()}
}

func wantError(t *testing.T, err error, c updater.Class, reason string) {
	t.Helper()
	var e *updater.Error
	if !errors.As(err, &e) || e.Class != c || e.Reason != reason {
		t.Fatalf("error %v, want class %s, reason %s", err, c, reason)
	}
}

// TestOffersAndFetches: the same directory on disk and on a web server.
func TestOffersAndFetches(t *testing.T) {
	dir, key := publish(t, "hello", "1.4.0")
	var mu sync.Mutex
	var asked []string
	files := http.FileServer(http.Dir(dir))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.URL.Path+" "+r.Header.Get("If-Modified-Since"))
		mu.Unlock()
		files.ServeHTTP(w, r)
	}))
	defer server.Close()
	want, err := os.ReadFile(filepath.Join(dir, "hello_1.4.0_linux_amd64.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	for _, location := range []string{dir, server.URL, server.URL + "/"} {
		src, q := New(location, Options{MinisignKey: key}), query(t)
		for range 2 {
			mu.Lock()
			asked = nil
			mu.Unlock()
			offered, err := src.Check(t.Context(), q)
			if err != nil || len(offered) != 1 || offered[0].Version.String() != "1.4.0" || offered[0].Full.Length != int64(len(want)) {
				t.Fatalf("%s: %+v, %v", location, offered, err)
			}
			var got bytes.Buffer
			if err := src.Fetch(t.Context(), q, offered[0].Full, &got); err != nil || !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%s: %d bytes, %v", location, got.Len(), err)
			}
		}
		if n := len(asked); location != dir && (n != 3 || asked[0][len(asked[0])-1] == ' ') {
			t.Errorf("an unchanged check and a download: %q, want 3 requests, conditional ones first", asked)
		}
	}
}

func TestDistrusts(t *testing.T) {
	for name, tc := range map[string]struct {
		app, version string
		change       func(dir string) error
		reason       string
	}{
		"not signed":   {"hello", "1.4.0", func(d string) error { return os.Remove(filepath.Join(d, Checksums+".minisig")) }, "unsigned"},
		"another app":  {"other", "1.4.0", nil, "wrong-app"},
		"a line added": {"hello", "1.4.0", func(d string) error { return os.WriteFile(filepath.Join(d, Checksums), []byte("ab"), 0o600) }, "bad-checksums"},
	} {
		dir, key := publish(t, tc.app, tc.version)
		if tc.change != nil {
			if err := tc.change(dir); err != nil {
				t.Fatal(err)
			}
		}
		server := httptest.NewServer(http.FileServer(http.Dir(dir)))
		defer server.Close()
		t.Run(name, func(t *testing.T) {
			_, err := New(server.URL, Options{MinisignKey: key}).Check(t.Context(), query(t))
			wantError(t, err, updater.Verification, tc.reason)
		})
	}
}

// TestNothingForUs: another channel's version, or no file for this platform, is no failure.
func TestNothingForUs(t *testing.T) {
	dir, key := publish(t, "hello", "1.5.0-beta.1")
	src := New(dir, Options{MinisignKey: key})
	q := query(t)
	if offered, err := src.Check(t.Context(), q); err != nil || len(offered) != 0 {
		t.Errorf("a pre-release in stable: %+v, %v", offered, err)
	}
	q.Channel = "beta"
	if offered, err := src.Check(t.Context(), q); err != nil || len(offered) != 1 {
		t.Errorf("in beta: %+v, %v", offered, err)
	}
	q.Platform = release.Platform{OS: "plan9", Arch: "386"}
	if offered, err := src.Check(t.Context(), q); err != nil || len(offered) != 0 {
		t.Errorf("another platform: %+v, %v", offered, err)
	}
}

// TestChecksumOnly: the version is that of the names.
func TestChecksumOnly(t *testing.T) {
	dir, _ := publish(t, "hello", "1.4.0")
	for _, f := range []string{Checksums + ".minisig"} {
		if err := os.Remove(filepath.Join(dir, f)); err != nil {
			t.Fatal(err)
		}
	}
	offered, err := New(dir, Options{ChecksumInsecure: true}).Check(t.Context(), query(t))
	if err != nil || len(offered) != 1 || offered[0].Version.String() != "1.4.0" {
		t.Errorf("%+v, %v", offered, err)
	}
	_, err = New(dir, Options{}).Check(t.Context(), query(t))
	wantError(t, err, updater.Usage, "bad-options")
}

func TestNotThere(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	for _, location := range []string{server.URL, filepath.Join(t.TempDir(), "none")} {
		_, err := New(location, Options{ChecksumInsecure: true}).Check(t.Context(), query(t))
		wantError(t, err, updater.Temporary, "not-found")
	}
	_, err := New("https://", Options{ChecksumInsecure: true}).Check(t.Context(), query(t))
	wantError(t, err, updater.Usage, "bad-options")
}

func ExampleNew() {
	const publicKey = "RWQ…" // //go:embed minisign.pub
	fmt.Println(New("https://user:secret@example.com/hello", Options{MinisignKey: publicKey}))
	// Output: directory https://user:xxxxx@example.com/hello
}
