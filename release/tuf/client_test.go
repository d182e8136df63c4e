package tuf

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"github.com/moult-go/moult/release"
)

func TestNewClientRefuses(t *testing.T) {
	f := newFeed(t)
	for _, u := range []string{"", "feed", "/srv/feed", "ftp://example.com/x", "file:///x", "http://", "https://:443", "http://a/?q=1", "http://a/#f", "http://a b/"} {
		if _, err := NewClient(u, f.root, t.TempDir(), ClientOptions{}); err == nil {
			t.Errorf("url %q passes", u)
		}
	}
	for name, root := range map[string][]byte{"none": nil, "null": []byte("null"), "not json": []byte("root"), "unsigned": unsigned(t, f.root)} {
		if _, err := NewClient(f.url, root, t.TempDir(), ClientOptions{}); !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrBadSignature) {
			t.Errorf("root %s: %v", name, err)
		}
	}
	if _, err := NewClient(f.url, f.root, "", ClientOptions{}); err == nil {
		t.Error("no cache directory passes")
	}
}

func unsigned(t *testing.T, root []byte) []byte {
	t.Helper()
	m, err := metadata.Root().FromBytes(root)
	if err != nil {
		t.Fatal(err)
	}
	m.ClearSignatures()
	b, err := m.ToBytes(false)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Promise: an unchanged check is two requests, the second one answered by 304; a restart changes nothing about it.
func TestUnchangedCheckIsTwoRequests(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	dir := t.TempDir()
	wantNewest(t, f.client(dir), "beta", "1.0.0")
	if got := f.took(); len(got) != 7 { // root, timestamp, snapshot, targets, brake and its metadata, index
		t.Errorf("the first check: %q", got)
	}
	for range 2 {
		wantNewest(t, f.client(dir), "beta", "1.0.0") // as after a restart
		if got := strings.Join(f.took(), " "); got != "/metadata/2.root.json /metadata/timestamp.json" {
			t.Errorf("an unchanged check: %q", got)
		}
		if last := f.statuses[len(f.statuses)-1]; last != http.StatusNotModified {
			t.Errorf("the timestamp came with status %d", last)
		}
	}
	f.publish("1.1.0", "beta", "two")
	wantNewest(t, f.client(dir), "beta", "1.1.0")
	if got := f.took(); len(got) != 5 {
		t.Errorf("a check that finds something: %q", got)
	}
}

// answer makes one path answer so.
func answer(path string, h http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, path) {
			return false
		}
		h(w, r)
		return true
	}
}

func bytesOf(b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(b)
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write(bytes.Repeat([]byte(" "), 4096)); err != nil {
			return
		}
	}
}

func html(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	io.WriteString(w, "<!doctype html><title>Log in</title>")
}

func disguisedHTML(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, "\n <html>")
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(code)
	}
}

// cut announces more than it sends and hangs up.
func cut(b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Write(b[:min(len(b), 100)])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// reading returns a file of the repository.
func (f *feed) reading(pattern string) []byte {
	f.t.Helper()
	files, err := filepath.Glob(filepath.Join(f.repo.dir, pattern))
	if err != nil || len(files) != 1 {
		f.t.Fatalf("%s: %v, %v", pattern, files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

// timestamp signs a changed timestamp with the true key.
func (f *feed) timestamp(change func(*metadata.TimestampType)) []byte {
	return resign(f.t, f.reading("metadata/timestamp.json"), f.repo.keys.Online, change)
}

func resign[T metadata.Roles](t *testing.T, b []byte, k []Signer, change func(*T)) []byte {
	t.Helper()
	m := &metadata.Metadata[T]{}
	if _, err := m.FromBytes(b); err != nil {
		t.Fatal(err)
	}
	change(&m.Signed)
	out, err := sign(t.Context(), m, k)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var signatures = regexp.MustCompile(`"signatures":\[.*?\]`)

func (f *feed) timestampSignature(change func(*metadata.Signature)) []byte {
	f.t.Helper()
	m, err := metadata.Timestamp().FromBytes(f.reading("metadata/timestamp.json"))
	if err != nil {
		f.t.Fatal(err)
	}
	change(&m.Signatures[0])
	b, err := m.ToBytes(false)
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

// The null that go-tuf trips over when it gets that far. If this stops panicking, the comment at guard is out of date.
func TestGuardTurnsAPanicIntoAnError(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	set, err := trustedmetadata.New(f.root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.UpdateTimestamp(f.reading("metadata/timestamp.json")); err != nil {
		t.Fatal(err)
	}
	poison := f.timestamp(func(m *metadata.TimestampType) { m.Version++; m.Meta["snapshot.json"] = nil })
	err = guard(func() error {
		_, err := set.UpdateTimestamp(poison)
		return err
	})
	if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "panicked") {
		t.Errorf("got %v", err)
	}
}

// An expired feed stops updates, also those already known; when it is signed again all is well, without a restart.
func TestExpiredFeedRecovers(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	c := f.client(t.TempDir())
	wantNewest(t, c, "beta", "1.0.0")
	if e := c.Expiries(); len(e) != 5 || len(e[4].Keys) != 1 || len(e[4].Keys[0]) != 64 || e[0].Threshold < 1 || e[3].Role != "timestamp" || time.Until(e[3].Expires) > timestampLife {
		t.Errorf("Expiries = %+v", e)
	}
	if err := checkFresh(c.trusted, time.Now().Add(timestampLife+time.Hour)); !errors.Is(err, ErrExpired) {
		t.Errorf("two weeks without a refresh: %v", err)
	}
	f.now = time.Now().Add(-timestampLife - time.Hour)
	if err := f.repo.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := newest(c, "beta"); !errors.Is(err, ErrExpired) {
		t.Errorf("expired: %v", err)
	}
	f.now = time.Now()
	if err := f.repo.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	wantNewest(t, c, "beta", "1.0.0")
}

func TestForbiddenNextRootIsNone(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	f.setLie(answer("/2.root.json", status(403))) // an object store without the right to list
	wantNewest(t, f.client(t.TempDir()), "beta", "1.0.0")
	f.setLie(answer("/timestamp.json", status(403)))
	if _, err := newest(f.client(t.TempDir()), "beta"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a forbidden timestamp: %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	f := newFeed(t)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	c, err := NewClient(gone.URL, f.root, t.TempDir(), ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Refresh(context.Background()); !errors.Is(err, ErrUnreachable) {
		t.Errorf("nobody there: %v", err)
	}

	slow := f.clientWith(t.TempDir(), ClientOptions{Timeout: 50 * time.Millisecond})
	f.setLie(answer("/timestamp.json", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	if err := slow.Refresh(context.Background()); !errors.Is(err, ErrUnreachable) {
		t.Errorf("no answer: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := slow.Refresh(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnreachable) {
		t.Errorf("canceled by the caller: %v", err)
	}
}

func TestRedirectFromHTTPSToHTTP(t *testing.T) {
	f := newFeed(t)
	srv := httptest.NewTLSServer(http.RedirectHandler(f.url, http.StatusFound))
	defer srv.Close()
	c, err := NewClient(srv.URL, f.root, t.TempDir(), ClientOptions{Transport: srv.Client().Transport})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Refresh(context.Background()); !errors.Is(err, ErrRedirect) || errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v", err)
	}
	if got := f.took(); len(got) != 0 {
		t.Errorf("it was followed: %q", got)
	}
}

func TestPasswordsStayOutOfErrors(t *testing.T) {
	f := newFeed(t)
	c, err := NewClient(strings.Replace(f.url, "://", "://me:hunter2@", 1), f.root, t.TempDir(), ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, h := range []http.HandlerFunc{status(500), html, endless, cut([]byte("{")), bytesOf([]byte("null"))} {
		f.setLie(func(w http.ResponseWriter, r *http.Request) bool { h(w, r); return true })
		err := c.Refresh(context.Background())
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
	}
}

// An index that is signed and says something else than its place is refused.
func TestIndexMustAgreeWithItsPlace(t *testing.T) {
	f := newFeed(t)
	rel := f.publish("1.0.0", "beta", "one")
	for name, ix := range map[string]release.Index{
		"other app":      {Schema: 1, App: "other", Channel: "beta", Platform: linux},
		"other channel":  {Schema: 1, App: "hello", Channel: "stable", Platform: linux},
		"other platform": {Schema: 1, App: "hello", Channel: "beta", Platform: release.Platform{OS: "darwin", Arch: "arm64"}},
	} {
		ix.Put(rel)
		b, err := ix.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if err := f.repo.publishTargets(context.Background(), map[string][]byte{"beta/linux-amd64.json": b}); err != nil {
			t.Fatal(err)
		}
		if got, err := newest(f.client(t.TempDir()), "beta"); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
