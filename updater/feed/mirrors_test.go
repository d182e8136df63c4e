package feed_test

import (
	"bytes"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/moult-go/moult/updater"
	"github.com/moult-go/moult/updater/feed"
)

// A mirror over TLS, by an authority of one's own, serves when the feed itself does not.
func TestMirrorByAnOwnAuthority(t *testing.T) {
	s := newSite(t, nil)
	mirror := httptest.NewTLSServer(http.FileServer(http.Dir(s.dir)))
	t.Cleanup(mirror.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: mirror.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	s.serve = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	src := feed.NewWith(s.url, s.root, feed.Options{Mirrors: []string{mirror.URL}, CAFile: ca})
	offered, err := src.Check(t.Context(), s.query)
	if err != nil || len(offered) != 1 {
		t.Fatalf("offered %v, %v", offered, err)
	}
	var got bytes.Buffer
	if err := src.Fetch(t.Context(), s.query, offered[0].Full, &got); err != nil || !bytes.Equal(got.Bytes(), payload) {
		t.Errorf("fetched %d bytes, %v", got.Len(), err)
	}
	_, err = feed.NewWith(s.url, s.root, feed.Options{Mirrors: []string{mirror.URL}}).Check(t.Context(), updater.Query{App: "hello", Platform: s.query.Platform, Channel: "stable", CacheDir: t.TempDir()})
	wantError(t, err, updater.Temporary, "network")
	_, err = feed.NewWith(s.url, s.root, feed.Options{CAFile: filepath.Join(t.TempDir(), "none")}).Check(t.Context(), s.query)
	wantError(t, err, updater.Usage, "bad-options")
}
