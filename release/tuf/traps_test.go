package tuf

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/moult-go/moult/release"
)

// What go-tuf offers and we do not use: downloads that hold a payload in memory, a mode without the server's word, a walk through
// delegations, fetchers that change the process-wide client.
func TestGoTUFIsNotAskedTo(t *testing.T) {
	never := regexp.MustCompile(`\.(DownloadTarget|FindCachedTarget|GetTargetInfo|NewFetcherWithRoundTripper|NewDefaultFetcher)\(|UnsafeLocalMode|multirepo|http\.DefaultClient|http\.Get\(`)
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range never.FindAll(b, -1) {
			if file == "conformance.go" && string(found) == ".GetTargetInfo(" {
				continue // for repositories of others, in a test command
			}
			t.Errorf("%s: %s", file, found)
		}
	}
}

// Older ones accept a threshold of 0 (CVE-2026-23992), or lead out of their directory (CVE-2026-24686).
func TestGoTUFIsNewEnough(t *testing.T) {
	b, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`go-tuf/v2 (v\S+)`).FindSubmatch(b)
	if m == nil || release.MustParseVersion(string(m[1])).Compare(release.MustParseVersion("2.4.2")) < 0 {
		t.Errorf("go.mod asks for go-tuf %s", m)
	}
}

// go-tuf takes any one of several hashes for the name of a file, and escapes role names when it writes a cache file and not
// when it reads it. There is one hash, and names are plain.
func TestOneHashAndPlainNames(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	for _, role := range []string{metadata.TARGETS, brakeRole} {
		for path, target := range f.repo.trusted.Targets[role].Signed.Targets {
			if len(target.Hashes) != 1 || len(target.Hashes["sha256"]) != 32 {
				t.Errorf("%s: hashes %v", path, target.Hashes)
			}
		}
	}
	for name, e := range f.repo.trusted.Snapshot.Signed.Meta {
		if len(e.Hashes) != 1 || !regexp.MustCompile(`^[a-z]+\.json$`).MatchString(name) {
			t.Errorf("snapshot: %s, hashes %v", name, e.Hashes)
		}
	}
}

// Several goroutines may use one client, which go-tuf's updater would not stand.
func TestClientIsSafeForConcurrentUse(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	c := f.client(t.TempDir())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 3 {
				if v, err := newest(c, "beta"); err != nil || v != "1.0.0" {
					t.Errorf("%q, %v", v, err)
				}
				c.Indexes()
				c.Expiries()
			}
		})
	}
	all.Wait()
}

// A request says who asks and that bytes must come as they are.
func TestHowAFeedIsAsked(t *testing.T) {
	f := newFeed(t)
	c := f.client(t.TempDir())
	wantAgent := make(chan string, 1)
	f.setLie(answer("/2.root.json", func(w http.ResponseWriter, r *http.Request) {
		select {
		case wantAgent <- r.Header.Get("User-Agent") + " " + r.Header.Get("Accept-Encoding"):
		default:
		}
		http.NotFound(w, r)
	}))
	if err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-wantAgent; got != "moult identity" {
		t.Errorf("asked as %q", got)
	}
}
