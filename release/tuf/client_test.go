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

// TestAttacks (G18): every attack is tried on a client that knows nothing yet and on one that trusts version 1.0.0; 1.1.0 is out. None may be
// believed, each has its own error, and when it is over both clients find 1.1.0.
func TestAttacks(t *testing.T) {
	stranger := stranger(t)
	type lie = func(http.ResponseWriter, *http.Request) bool
	ts := func(h http.HandlerFunc) lie { return answer("/timestamp.json", h) }
	swap := func(b []byte, old, new string) http.HandlerFunc {
		if !bytes.Contains(b, []byte(old)) {
			t.Fatalf("no %s in %s", old, b)
		}
		return bytesOf(bytes.Replace(b, []byte(old), []byte(new), 1))
	}
	for name, tc := range map[string]struct {
		want error
		lie  func(f *feed) lie
	}{
		"expired timestamp": {ErrExpired, func(f *feed) lie {
			return ts(bytesOf(f.timestamp(func(m *metadata.TimestampType) { m.Version += 5; m.Expires = time.Now().Add(-time.Hour) })))
		}},
		"oversized timestamp": {ErrOversized, func(f *feed) lie {
			return ts(bytesOf(append(f.reading("metadata/timestamp.json"), bytes.Repeat([]byte(" "), 20<<10)...)))
		}},
		"endless timestamp": {ErrOversized, func(*feed) lie { return ts(endless) }},
		"endless next root": {ErrOversized, func(*feed) lie { return answer("/2.root.json", endless) }},
		"broken signature": {ErrBadSignature, func(f *feed) lie {
			return ts(bytesOf(f.timestampSignature(func(s *metadata.Signature) { s.Signature[0] ^= 1 })))
		}},
		"short signature": {ErrBadSignature, func(f *feed) lie {
			return ts(bytesOf(f.timestampSignature(func(s *metadata.Signature) { s.Signature = s.Signature[:5] })))
		}},
		"unknown key id": {ErrBadSignature, func(f *feed) lie {
			return ts(bytesOf(f.timestampSignature(func(s *metadata.Signature) { s.KeyID = "00" })))
		}},
		"signature of a stranger": {ErrBadSignature, func(f *feed) lie {
			return ts(bytesOf(resign(t, f.reading("metadata/timestamp.json"), stranger, func(m *metadata.TimestampType) { m.Version++ })))
		}},
		"changed after signing": {ErrBadSignature, func(f *feed) lie { return ts(swap(f.reading("metadata/timestamp.json"), `"version":3`, `"version":9`)) }},
		"no signatures": {ErrBadSignature, func(f *feed) lie {
			return ts(bytesOf(signatures.ReplaceAll(f.reading("metadata/timestamp.json"), []byte(`"signatures":[]`))))
		}},
		"null":               {ErrMalformed, func(*feed) lie { return ts(bytesOf([]byte("null"))) }},
		"a list":             {ErrMalformed, func(*feed) lie { return ts(bytesOf([]byte("[]"))) }},
		"empty":              {ErrMalformed, func(*feed) lie { return ts(bytesOf(nil)) }},
		"no signed part":     {ErrMalformed, func(*feed) lie { return ts(bytesOf([]byte(`{"signatures":[]}`))) }},
		"null signed part":   {ErrMalformed, func(*feed) lie { return ts(bytesOf([]byte(`{"signed":null,"signatures":[]}`))) }},
		"wrong type":         {ErrMalformed, func(f *feed) lie { return ts(bytesOf(f.reading("metadata/1.root.json"))) }},
		"truncated in whole": {ErrMalformed, func(f *feed) lie { return ts(bytesOf(f.reading("metadata/timestamp.json")[:200])) }},
		"cut off":            {ErrTruncated, func(f *feed) lie { return ts(cut(f.reading("metadata/timestamp.json"))) }},
		"null signatures": {ErrMalformed, func(f *feed) lie {
			return ts(bytesOf(signatures.ReplaceAll(f.reading("metadata/timestamp.json"), []byte(`"signatures":[null,null]`))))
		}},
		"signed null entry": {ErrMalformed, func(f *feed) lie {
			return ts(bytesOf(f.timestamp(func(m *metadata.TimestampType) { m.Version++; m.Meta["snapshot.json"] = nil })))
		}},
		"signed, entry absent": {ErrMalformed, func(f *feed) lie {
			return ts(bytesOf(f.timestamp(func(m *metadata.TimestampType) { m.Version++; clear(m.Meta) })))
		}},
		"signed null in the snapshot": {ErrMalformed, func(f *feed) lie {
			return f.snapshotLie(func(m *metadata.SnapshotType) { m.Meta["targets.json"] = nil })
		}},
		"signed, targets absent": {ErrMalformed, func(f *feed) lie { return f.snapshotLie(func(m *metadata.SnapshotType) { clear(m.Meta) }) }},
		"expired snapshot": {ErrExpired, func(f *feed) lie {
			return f.snapshotLie(func(m *metadata.SnapshotType) { m.Expires = time.Now().Add(-time.Hour) })
		}},
		"targets of another version":  {ErrDigestMismatch, func(f *feed) lie { return answer("/3.targets.json", bytesOf(f.reading("metadata/2.targets.json"))) }},
		"snapshot of another version": {ErrDigestMismatch, func(f *feed) lie { return answer("/3.snapshot.json", bytesOf(f.reading("metadata/2.snapshot.json"))) }},
		"root of itself":              {ErrBadSignature, func(f *feed) lie { return answer("/2.root.json", bytesOf(rootBy(t, f, stranger))) }},
		"the old root as the next":    {ErrRollback, func(f *feed) lie { return answer("/2.root.json", bytesOf(f.root)) }},
		"html":                        {ErrHTML, func(*feed) lie { return ts(html) }},
		"html said to be json":        {ErrHTML, func(*feed) lie { return ts(disguisedHTML) }},
		"html for the next root":      {ErrHTML, func(*feed) lie { return answer("/2.root.json", html) }},
		"html for the index":          {ErrHTML, func(*feed) lie { return answer(".linux-amd64.json", html) }},
		"no timestamp":                {ErrNotFound, func(*feed) lie { return ts(http.NotFound) }},
		"no targets":                  {ErrNotFound, func(*feed) lie { return answer("/3.targets.json", http.NotFound) }},
		"no index":                    {ErrNotFound, func(*feed) lie { return answer(".linux-amd64.json", http.NotFound) }},
		"index of other bytes": {ErrDigestMismatch, func(f *feed) lie {
			return f.indexLie(func(b []byte) []byte { return bytes.Replace(b, []byte("about"), []byte("abuot"), 1) }, "about 1.1")
		}},
		"index shorter":    {ErrTruncated, func(f *feed) lie { return f.indexLie(func(b []byte) []byte { return b[:len(b)-1] }, "") }},
		"index longer":     {ErrOversized, func(f *feed) lie { return f.indexLie(func(b []byte) []byte { return append(b, ' ') }, "") }},
		"busy":             {ErrUnreachable, func(*feed) lie { return ts(status(503)) }},
		"busy at the root": {ErrUnreachable, func(*feed) lie { return answer("/2.root.json", status(500)) }},
		"rate limited":     {ErrUnreachable, func(*feed) lie { return ts(status(429)) }},
		"redirected for ever": {ErrRedirect, func(*feed) lie {
			return ts(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFeed(t)
			f.publish("1.0.0", "beta", "one")
			knowing := f.client(t.TempDir())
			wantNewest(t, knowing, "beta", "1.0.0")
			f.publish("1.1.0", "beta", "two")
			fresh := f.client(t.TempDir())
			f.setLie(tc.lie(f))
			for who, c := range map[string]*Client{"knowing": knowing, "fresh": fresh} {
				got, err := newest(c, "beta")
				if !errors.Is(err, tc.want) {
					t.Errorf("%s client: %q, %v; want %v", who, got, err, tc.want)
				}
				var h *HTTPError
				if errors.As(err, &h) && h.Status != 404 && h.RetryAfter != 2*time.Minute {
					t.Errorf("Retry-After is lost: %+v", h)
				}
			}
			f.setLie(nil)
			f.recover()
			wantNewest(t, knowing, "beta", "1.1.0")
			wantNewest(t, fresh, "beta", "1.1.0")
			wantNewest(t, f.client(filepath.Dir(knowing.cache.dir)), "beta", "1.1.0")
		})
	}
}

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

// snapshotLie serves a changed snapshot and a timestamp that vouches for it, both signed by the true online key.
func (f *feed) snapshotLie(change func(*metadata.SnapshotType)) func(http.ResponseWriter, *http.Request) bool {
	sn := resign(f.t, f.reading("metadata/3.snapshot.json"), f.repo.keys.Online, func(m *metadata.SnapshotType) {
		m.Version = 4
		change(m)
	})
	d := sum(sn)
	ts := f.timestamp(func(m *metadata.TimestampType) {
		m.Version++
		m.Meta["snapshot.json"] = &metadata.MetaFiles{Version: 4, Length: int64(len(sn)), Hashes: metadata.Hashes{"sha256": d[:]}}
	})
	f.goPast = 5 // a reader may have seen these versions
	return func(w http.ResponseWriter, r *http.Request) bool {
		return answer("/timestamp.json", bytesOf(ts))(w, r) || answer("/4.snapshot.json", bytesOf(sn))(w, r)
	}
}

// recover is what a publisher does when his online key was used by someone else: he publishes beyond the versions that were seen.
func (f *feed) recover() {
	f.t.Helper()
	if f.goPast == 0 {
		return
	}
	f.repo.trusted.Snapshot.Signed.Version, f.repo.trusted.Timestamp.Signed.Version = f.goPast, f.goPast
	if err := f.repo.publishSnapshot(context.Background()); err != nil {
		f.t.Fatal(err)
	}
}

func (f *feed) indexLie(change func([]byte) []byte, mustHold string) func(http.ResponseWriter, *http.Request) bool {
	b := f.repo.targetPath("beta/linux-amd64.json", release.Digest(f.repo.targets()["beta/linux-amd64.json"].Hashes["sha256"]))
	content, err := os.ReadFile(b)
	if err != nil || !bytes.Contains(content, []byte(mustHold)) {
		f.t.Fatalf("index %s: %v", content, err)
	}
	return answer(".linux-amd64.json", bytesOf(change(content)))
}

// rootBy is a second root that a stranger signed.
func rootBy(t *testing.T, f *feed, k []Signer) []byte {
	return resign(t, f.root, k, func(m *metadata.RootType) { m.Version = 2 })
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
	if e := c.Expiries(); len(e) != 5 || e[3].Role != "timestamp" || time.Until(e[3].Expires) > timestampLife {
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

	slow := f.client(t.TempDir())
	slow.opts.Timeout = 50 * time.Millisecond
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
