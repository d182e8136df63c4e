package feed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
	"github.com/moult-go/moult/updater"
	"github.com/moult-go/moult/updater/feed"
)

var payload = bytes.Repeat([]byte("an executable "), 5000)

// site is a feed with one release, and a web server for it that may be made to misbehave.
type site struct {
	t     *testing.T
	dir   string
	query updater.Query
	root  []byte
	serve http.Handler // default: the files
	url   string
}

func newSite(t *testing.T, now func() time.Time) *site {
	t.Helper()
	return newSiteOf(t, now, true)
}

func newSiteOf(t *testing.T, now func() time.Time, uncompressed bool) *site {
	t.Helper()
	s := &site{t: t, dir: filepath.Join(t.TempDir(), "feed")}
	repo, err := tuf.Init(t.Context(), s.dir, tuf.InitOptions{App: "hello", Channels: []string{"stable"}, PlaintextKeys: true, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "hello")
	if err := os.WriteFile(file, payload, 0o755); err != nil {
		t.Fatal(err)
	}
	_, err = repo.Publish(t.Context(), tuf.PublishRequest{
		Version: release.MustParseVersion("1.2.3"), Channel: "stable", Notes: "fixes", Uncompressed: uncompressed,
		Files: []tuf.File{{Path: file, Platform: release.Host()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.root, err = os.ReadFile(repo.RootFile()); err != nil {
		t.Fatal(err)
	}
	s.serve = http.FileServer(http.Dir(s.dir))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	s.url = server.URL
	s.query = updater.Query{App: "hello", Platform: release.Host(), Channel: "stable", CacheDir: t.TempDir()}
	return s
}

func wantError(t *testing.T, err error, c updater.Class, reason string) {
	t.Helper()
	var e *updater.Error
	if !errors.As(err, &e) || e.Class != c || e.Reason != reason {
		t.Fatalf("error %v, want class %s, reason %s", err, c, reason)
	}
}

func TestOffersAndFetches(t *testing.T) {
	s := newSite(t, nil)
	src := feed.New(s.url, s.root)
	offered, err := src.Check(t.Context(), s.query)
	if err != nil {
		t.Fatal(err)
	}
	if len(offered) != 1 || offered[0].Version.String() != "1.2.3" || offered[0].Length != int64(len(payload)) || offered[0].Notes != "fixes" ||
		offered[0].Platform != release.Host() {
		t.Fatalf("offered %+v", offered)
	}
	var got bytes.Buffer
	if err := src.Fetch(t.Context(), s.query, offered[0].Full, &got); err != nil || !bytes.Equal(got.Bytes(), payload) {
		t.Errorf("fetched %d bytes, %v", got.Len(), err)
	}
	q := s.query
	q.Channel = "beta"
	if offered, err := src.Check(t.Context(), q); err != nil || len(offered) != 0 {
		t.Errorf("channel that is not there: %v, %v", offered, err)
	}
}

// Who imports this package can decode what a feed holds.
func TestFormatsAreKnown(t *testing.T) {
	s := newSiteOf(t, nil, false)
	src := feed.New(s.url, s.root)
	offered, err := src.Check(t.Context(), s.query)
	if err != nil {
		t.Fatal(err)
	}
	c := offered[0]
	if c.Full.Format != release.Zstd || c.Full.Length >= c.Length {
		t.Fatalf("offered %+v", c)
	}
	var file, got bytes.Buffer
	if err := src.Fetch(t.Context(), s.query, c.Full, &file); err != nil {
		t.Fatal(err)
	}
	d := release.Decoding{Format: c.Full.Format, Size: c.Full.Length, Length: c.Length, SHA256: c.Digest}
	if err := release.Decode(&got, &file, d); err != nil || !bytes.Equal(got.Bytes(), payload) {
		t.Errorf("decoded %d bytes, %v", got.Len(), err)
	}
}

func TestErrorsHaveAClassAndReason(t *testing.T) {
	html := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!DOCTYPE html><p>Log in")
	})
	tests := []struct {
		name   string
		change func(s *site)
		class  updater.Class
		reason string
	}{
		{"busy", func(s *site) {
			s.serve = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
		}, updater.Temporary, "network"},
		{"nobody there", func(s *site) { s.url = "http://127.0.0.1:1/" }, updater.Temporary, "network"},
		{"captive portal", func(s *site) { s.serve = html }, updater.Temporary, "wrong-type"},
		{"another feed's root", func(s *site) { s.root = newSite(s.t, nil).root }, updater.Verification, "bad-signature"},
		{"no root", func(s *site) { s.root = []byte("{}") }, updater.Usage, "bad-options"},
		{"address", func(s *site) { s.url = "ftp://example.com" }, updater.Usage, "bad-options"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, nil)
			test.change(s)
			_, err := feed.New(s.url, s.root).Check(t.Context(), s.query)
			wantError(t, err, test.class, test.reason)
		})
	}
}

func TestExpired(t *testing.T) {
	s := newSite(t, func() time.Time { return time.Now().AddDate(-5, 0, 0) })
	_, err := feed.New(s.url, s.root).Check(t.Context(), s.query)
	wantError(t, err, updater.Verification, "expired")
}

// A feed that is behind what was seen before is no failure at first: what is known is offered. When it stays so, it is one.
func TestFeedThatIsBehind(t *testing.T) {
	s := newSite(t, nil)
	timestamp := filepath.Join(s.dir, "metadata", "timestamp.json")
	old, err := os.ReadFile(timestamp)
	if err != nil {
		t.Fatal(err)
	}
	repo, err := tuf.Open(s.dir, tuf.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := repo.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	check := func() ([]updater.Candidate, error) { return feed.New(s.url, s.root).Check(t.Context(), s.query) }
	if _, err := check(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(timestamp, old, 0o644); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if offered, err := check(); err != nil || len(offered) != 1 {
			t.Fatalf("check %d: %v, %v", i+1, offered, err)
		}
	}
	_, err = check()
	wantError(t, err, updater.Verification, "rollback")
}

func TestCacheThatCannotBeWritten(t *testing.T) {
	s := newSite(t, nil)
	src := feed.New(s.url, s.root)
	if _, err := src.Check(t.Context(), s.query); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(s.query.CacheDir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.query.CacheDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := src.Check(t.Context(), s.query)
	wantError(t, err, updater.Temporary, "cache")
	if err := os.Remove(s.query.CacheDir); err != nil {
		t.Fatal(err)
	}
	if _, err := src.Check(t.Context(), s.query); err != nil {
		t.Errorf("with the disk back: %v", err)
	}
}

func TestHostilePayloads(t *testing.T) {
	tests := []struct {
		name   string
		send   []byte
		class  updater.Class
		reason string
	}{
		{"other bytes", bytes.ToUpper(payload), updater.Verification, "digest-mismatch"},
		{"longer", append(bytes.Clone(payload), 'x'), updater.Verification, "too-long"},
		{"shorter", payload[:100], updater.Verification, "truncated"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, nil)
			src := feed.New(s.url, s.root)
			offered, err := src.Check(t.Context(), s.query)
			if err != nil {
				t.Fatal(err)
			}
			s.serve = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(test.send) })
			err = src.Fetch(t.Context(), s.query, offered[0].Full, &bytes.Buffer{})
			wantError(t, err, test.class, test.reason)
		})
	}
}

func TestCancelled(t *testing.T) {
	s := newSite(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := feed.New(s.url, s.root).Check(ctx, s.query); !errors.Is(err, context.Canceled) {
		t.Errorf("check: %v", err)
	}
}

func ExampleNew() {
	var root []byte // //go:embed root.json
	src := feed.New("https://user:secret@example.com/hello", root)
	fmt.Println(src, strings.Contains(src.String(), "secret"))
	// Output: feed https://user:xxxxx@example.com/hello false
}
