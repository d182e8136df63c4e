package tuf

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/moult-go/moult/release"
)

func TestMain(m *testing.M) {
	if os.Getenv(killEnv) != "" {
		os.Exit(publishUntilKilled())
	}
	goleak.VerifyTestMain(m)
}

var linux = release.Platform{OS: "linux", Arch: "amd64"}

// feed is a repository behind a web server that a test can make lie.
type feed struct {
	t    *testing.T
	repo *Repository
	root []byte
	url  string
	now  time.Time // of the publisher

	mu       sync.Mutex
	requests []string
	statuses []int
	lie      func(w http.ResponseWriter, r *http.Request) bool // true: answered
}

func newFeed(t *testing.T) *feed {
	t.Helper()
	f := &feed{t: t, now: time.Now()}
	dir := t.TempDir()
	repo, err := Init(t.Context(), filepath.Join(dir, "feed"), InitOptions{App: "hello", PlaintextKeys: true, Now: func() time.Time { return f.now }})
	if err != nil {
		t.Fatal(err)
	}
	f.serve(repo)
	return f
}

// serve puts repo on a web server.
func (f *feed) serve(repo *Repository) {
	f.t.Helper()
	f.repo = repo
	var err error
	if f.root, err = os.ReadFile(repo.RootFile()); err != nil {
		f.t.Fatal(err)
	}
	files := http.FileServer(http.Dir(repo.dir))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.requests = append(f.requests, r.URL.Path)
		lie := f.lie
		f.mu.Unlock()
		rec := &statusRecorder{ResponseWriter: w, status: 200}
		if lie == nil || !lie(rec, r) {
			if strings.HasSuffix(r.URL.Path, "/timestamp.json") {
				b, _ := os.ReadFile(repo.metadataPath("timestamp.json"))
				w.Header().Set("ETag", `"`+release.Digest(sum(b)).Short()+`"`)
			}
			files.ServeHTTP(rec, r)
		}
		f.mu.Lock()
		f.statuses = append(f.statuses, rec.status)
		f.mu.Unlock()
	}))
	f.t.Cleanup(srv.Close)
	f.url = srv.URL
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *statusRecorder) WriteHeader(code int) {
	r.status = code
	r.ResponseWriter.WriteHeader(code)
}

func (f *feed) setLie(lie func(http.ResponseWriter, *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lie = lie
}

// took returns the paths asked for since the last call.
func (f *feed) took() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.requests
	f.requests = nil
	return r
}

// publish puts content out as a version.
func (f *feed) publish(version, channel, content string) release.Release {
	f.t.Helper()
	path := filepath.Join(f.t.TempDir(), "hello")
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		f.t.Fatal(err)
	}
	rs, err := f.repo.Publish(context.Background(), PublishRequest{
		Version: release.MustParseVersion(version), Channel: channel, Files: []File{{Path: path, Platform: linux}}, Notes: "about " + version,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return rs[0]
}

func (f *feed) client(cacheDir string) *Client {
	f.t.Helper()
	return f.clientWith(cacheDir, ClientOptions{})
}

func (f *feed) clientWith(cacheDir string, o ClientOptions) *Client {
	f.t.Helper()
	o.App = "hello"
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	c, err := NewClient(f.url, f.root, cacheDir, o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(c.Close)
	return c
}

// newest is what a client finds: a whole check.
func newest(c *Client, channel string) (string, error) {
	if err := c.Refresh(context.Background()); err != nil {
		return "", err
	}
	ix, err := c.Index(context.Background(), channel, linux)
	if err != nil {
		return "", err
	}
	r, err := ix.Latest()
	return r.Version.String(), err
}

func wantNewest(t *testing.T, c *Client, channel, want string) {
	t.Helper()
	if got, err := newest(c, channel); err != nil || got != want {
		t.Fatalf("newest in %s = %q, %v; want %q", channel, got, err, want)
	}
}

func sum(b []byte) [32]byte { return sha256.Sum256(b) }

// later is a clock that is wrong by d.
func later(d time.Duration) func() time.Time {
	return func() time.Time { return time.Now().Add(d) }
}

// stranger is a key that no feed knows.
func stranger(t *testing.T) []Signer {
	t.Helper()
	k, err := CreateKey(filepath.Join(t.TempDir(), "stranger.key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return []Signer{k}
}
