package tuf

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// twoEdges is a CDN of which one edge is behind: it serves old whenever stale says so.
func (f *feed) twoEdges(old []byte, stale *bool) {
	f.setLie(answer("/timestamp.json", func(w http.ResponseWriter, r *http.Request) {
		b := old
		if !*stale {
			b = f.reading("metadata/timestamp.json")
		}
		bytesOf(b)(w, r)
	}))
}

// Edges of a CDN that take turns are no attack: nothing goes back, nobody is alarmed, and the update lands.
func TestEdgesThatTakeTurns(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	old := f.reading("metadata/timestamp.json")
	f.publish("1.1.0", "beta", "two")
	dir := t.TempDir()
	c := f.client(dir)
	var log bytes.Buffer
	c.opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
	wantNewest(t, c, "beta", "1.1.0")
	var stale bool
	f.twoEdges(old, &stale)
	for i := range 20 {
		stale = i%2 == 1
		if i == 10 {
			old = f.reading("metadata/timestamp.json")
			f.publish("1.2.0", "beta", "three")
			f.twoEdges(old, &stale)
		}
		want := "1.1.0"
		if i >= 10 {
			want = "1.2.0"
		}
		wantNewest(t, c, "beta", want)
	}
	if got := log.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "version=2 trusted=3 checks=1") || strings.Contains(got, "checks=2") {
		t.Errorf("log: %s", got)
	}
	f.took()
	stale = true
	wantNewest(t, c, "beta", "1.2.0")
	if got := f.took(); len(got) != 2 {
		t.Errorf("a check that meets the edge behind: %q", got)
	}
}

// TestRollback: an edge that stays behind is an alarm at the sixth check in a row, counted over restarts; until then, and
// then too, nothing older is taken. When it has caught up all is well.
func TestRollback(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	old := f.reading("metadata/timestamp.json")
	f.publish("1.1.0", "beta", "two")
	dir := t.TempDir()
	wantNewest(t, f.client(dir), "beta", "1.1.0")
	stale := true
	f.twoEdges(old, &stale)
	for range 2 {
		for range maxBehind {
			wantNewest(t, f.client(dir), "beta", "1.1.0")
		}
		for range 2 {
			if got, err := newest(f.client(dir), "beta"); !errors.Is(err, ErrRollback) || !strings.Contains(err.Error(), "timestamp 2 after 3") {
				t.Errorf("behind for too long: %q, %v", got, err)
			}
		}
		stale = false
		wantNewest(t, f.client(dir), "beta", "1.1.0")
		stale = true
	}
}

// What is kept while the feed is behind must be fresh: an expired timestamp is not made good by an older one.
func TestBehindAndExpired(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	old := f.reading("metadata/timestamp.json")
	f.publish("1.1.0", "beta", "two")
	c := f.client(t.TempDir())
	wantNewest(t, c, "beta", "1.1.0")
	f.setLie(answer("/timestamp.json", bytesOf(old)))
	now := c.now
	c.now = later(timestampLife + 1)
	if got, err := newest(c, "beta"); !errors.Is(err, ErrExpired) {
		t.Errorf("expired and behind: %q, %v", got, err)
	}
	c.now = now
	wantNewest(t, c, "beta", "1.1.0")
}

// A count that cannot be kept on disk is kept in memory, and one that is no number is none.
func TestBehindWithoutDisk(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	c := f.client(t.TempDir())
	wantNewest(t, c, "beta", "1.0.0")
	if err := os.WriteFile(c.cache.path(behindFile), []byte("many"), 0o600); err != nil || c.cache.behind() != 0 {
		t.Errorf("behind = %d, %v", c.cache.behind(), err)
	}
	dir := c.cache.dir
	c.cache.dir = dir + "/timestamp.json" // no directory
	if err := c.cache.setBehind(3); err == nil || c.cache.behind() != 3 {
		t.Errorf("behind = %d, %v", c.cache.behind(), err)
	}
}

// Only the timestamp's own version is forgiven. A newer timestamp that goes back to an older snapshot is not the work of an edge.
func TestOnlyTheTimestampMayBeBehind(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	first := f.repo.trusted.Timestamp.Signed.Meta["snapshot.json"]
	f.publish("1.1.0", "beta", "two")
	c := f.client(t.TempDir())
	wantNewest(t, c, "beta", "1.1.0")
	f.setLie(answer("/timestamp.json", bytesOf(f.timestamp(func(m *metadata.TimestampType) { m.Version += 5; m.Meta["snapshot.json"] = first }))))
	if got, err := newest(c, "beta"); !errors.Is(err, ErrRollback) {
		t.Errorf("snapshot goes back: %q, %v", got, err)
	}
}
