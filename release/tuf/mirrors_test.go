package tuf

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// mirror is another server of f's feed as it is now; f goes on without it.
func (f *feed) mirror() *feed {
	f.t.Helper()
	m := &feed{t: f.t, root: f.root}
	dir := filepath.Join(f.t.TempDir(), "mirror")
	if err := os.CopyFS(dir, os.DirFS(f.repo.dir)); err != nil {
		f.t.Fatal(err)
	}
	files := http.FileServer(http.Dir(dir))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		m.requests = append(m.requests, r.URL.Path)
		lie := m.lie
		m.mu.Unlock()
		if lie == nil || !lie(w, r) {
			files.ServeHTTP(w, r)
		}
	}))
	f.t.Cleanup(s.Close)
	m.url = s.URL
	return m
}

// Whatever the first mirror does, the second one is asked; and asked first from then on.
func TestMirrorsOfAFeed(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"404": http.NotFound, "busy": status(503), "portal": html, "endless": endless, "cut": cut([]byte("{")), "null": bytesOf([]byte("null")),
		"silent": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		for _, file := range []string{"/timestamp.json", "/2.targets.json", ".linux-amd64.json", ".brake.json", "/1.brake.json"} {
			f := newFeed(t)
			f.publish("1.0.0", "beta", "one")
			m := f.mirror()
			f.setLie(answer(file, h))
			c := f.clientWith(t.TempDir(), ClientOptions{Mirrors: []string{m.url}, Timeout: 300 * time.Millisecond})
			wantNewest(t, c, "beta", "1.0.0")
			f.took()
			m.took()
			wantNewest(t, c, "beta", "1.0.0")
			if a, b := f.took(), m.took(); len(a) != 0 || len(b) != 2 {
				t.Errorf("%s at %s, the second check: asked the first for %q, the second for %q", name, file, a, b)
			}
		}
	}
}

func TestMirrorsOfAPayload(t *testing.T) {
	f := newFeed(t)
	p := f.publish("1.0.0", "beta", "the whole executable").Artifact.Full
	m := f.mirror()
	c := f.clientWith(t.TempDir(), ClientOptions{Mirrors: []string{m.url}})
	wantNewest(t, c, "beta", "1.0.0")
	m.took()
	f.setLie(answer("."+path.Base(p.Path), http.NotFound))
	var got bytes.Buffer
	if err := c.Fetch(t.Context(), p, &got); err != nil || int64(got.Len()) != p.Length {
		t.Errorf("%d bytes, %v", got.Len(), err)
	}
	if got := m.took(); len(got) != 1 {
		t.Errorf("the second mirror was asked for %q", got)
	}
	m.setLie(answer("."+path.Base(p.Path), status(503)))
	if err := c.Fetch(t.Context(), p, io.Discard); !errors.Is(err, ErrNotFound) || !errors.Is(err, ErrUnreachable) {
		t.Errorf("nobody has it: %v", err)
	}
}

// A mirror that lags behind what was seen before is passed over at once, for one that does not; alone it is what a CDN's edge is.
func TestAMirrorThatLags(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	m := f.mirror()
	f.publish("1.1.0", "beta", "two")
	dir := t.TempDir()
	wantNewest(t, f.client(dir), "beta", "1.1.0")
	var log bytes.Buffer
	lagging := func() *Client {
		c, err := NewClient(m.url, f.root, dir, ClientOptions{App: "hello", Mirrors: []string{f.url}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	f.publish("1.2.0", "beta", "three")
	for range maxBehind + 2 {
		wantNewest(t, lagging(), "beta", "1.2.0")
	}
	if got := log.String(); !strings.Contains(got, "feed mirror failed") || strings.Contains(got, "is behind") {
		t.Errorf("log: %s", got)
	}
	// With the other one gone it is the only one that answers: nothing goes back, and in the end it is an alarm.
	f.setLie(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true })
	for range maxBehind {
		wantNewest(t, lagging(), "beta", "1.2.0")
	}
	if got, err := newest(lagging(), "beta"); !errors.Is(err, ErrRollback) || !errors.Is(err, ErrUnreachable) {
		t.Errorf("behind for too long: %q, %v", got, err)
	}
}

// A mirror in the wrong hands can hold a client no longer than TUF lets anyone: it cannot sign. Frozen, it is passed over when what it has
// expires; and before that, when it has said "nothing new" for long enough.
func TestAHostileMirror(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	m := f.mirror()
	c, err := NewClient(m.url, f.root, t.TempDir(), ClientOptions{App: "hello", Mirrors: []string{f.url}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wantNewest(t, c, "beta", "1.0.0")
	strangers := newFeed(t)
	strangers.publish("9.0.0", "beta", "nine")
	for name, b := range map[string][]byte{
		"of another feed":   strangers.reading("metadata/timestamp.json"),
		"by a stranger":     resign(t, f.reading("metadata/timestamp.json"), stranger(t), func(s *metadata.TimestampType) { s.Version += 10 }),
		"expired":           f.timestamp(func(s *metadata.TimestampType) { s.Version += 10; s.Expires = time.Now().Add(-time.Hour) }),
		"not even metadata": []byte("[]"),
	} {
		c.mirrors.first.Store(0)
		m.setLie(answer("/timestamp.json", bytesOf(b)))
		if err := c.Refresh(t.Context()); err != nil || c.mirrors.first.Load() != 1 {
			t.Errorf("%s: %v, answered by %d", name, err, c.mirrors.first.Load())
		}
	}
	m.setLie(answer("/timestamp.json", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNotModified)
	}))
	c.mirrors.first.Store(0)
	f.publish("2.0.0", "beta", "two")
	for i := range maxUnchanged + 1 {
		got, err := newest(c, "beta")
		if err != nil {
			t.Fatal(err)
		}
		if got == "2.0.0" {
			t.Logf("held for %d checks", i)
			return
		}
	}
	t.Error("a mirror that says that nothing has changed holds the client")
}

func TestMirrorsAreChecked(t *testing.T) {
	f := newFeed(t)
	if _, err := NewClient(f.url, f.root, t.TempDir(), ClientOptions{Mirrors: []string{"ftp://example.com"}}); err == nil {
		t.Error("a mirror by ftp passes")
	}
	if _, err := NewClient(f.url, f.root, t.TempDir(), ClientOptions{CAFile: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such CA file: %v", err)
	}
}
