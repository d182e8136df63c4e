package tuf

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moult-go/moult/release"
)

// A thief of the online key who takes an entry out of the brake again frees nobody who saw it; only the index does, which the targets key
// signs.
func TestABrakeThatWasSeenHolds(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	dir := t.TempDir()
	wantNewest(t, f.client(dir), "beta", "1.0.0")
	halt := release.BrakeEntry{Serial: 3, Version: v("1.0.0"), Action: release.Halt, Stop: release.Stop{Reason: "it crashes", Since: f.now}}
	yank := release.BrakeEntry{Serial: 4, Channel: "beta", Version: v("1.0.0"), Action: release.Yank, Stop: release.Stop{Reason: "it leaks", Since: f.now}}
	f.brakeWith(halt, yank)
	if rel := find(t, f.client(dir), "beta", "1.0.0"); rel.Halted == nil || rel.Yanked == nil {
		t.Fatalf("stopped: %+v", rel)
	}
	f.brakeWith()
	for range 2 { // as after a restart
		if rel := find(t, f.client(dir), "beta", "1.0.0"); rel.Halted == nil || rel.Halted.Reason != "it crashes" || rel.Yanked == nil {
			t.Errorf("taken out again: %+v", rel)
		}
	}
	if rel := find(t, f.client(t.TempDir()), "beta", "1.0.0"); rel.Halted != nil {
		t.Errorf("a host that never saw it: %+v", rel)
	}
	f.publish("1.1.0", "beta", "two")
	if rel := find(t, f.client(dir), "beta", "1.0.0"); rel.Halted == nil {
		t.Errorf("after another publication: %+v", rel)
	}
	f.brakeWith(halt, yank)
	if _, err := f.repo.Resume(t.Context(), ResumeRequest{Version: v("1.0.0"), Yanked: true}); err != nil {
		t.Fatal(err)
	}
	c := f.client(dir)
	if rel := find(t, c, "beta", "1.0.0"); rel.Halted != nil || rel.Yanked != nil {
		t.Errorf("resumed: %+v", rel)
	}
	if left, _ := filepath.Glob(filepath.Join(c.cache.dir, "seen-*")); len(left) != 0 {
		t.Errorf("resumed, and still kept: %q", left)
	}
}

// An entry of a thief can neither push a true one out of what is kept, nor bring one of his own there beside it.
func TestWhatWasSeenCannotBeFlooded(t *testing.T) {
	ix := &release.Index{Channel: "beta", Releases: []release.Release{{Version: v("1.0.0")}, {Version: v("1.1.0"), Resumed: 9}}}
	good := release.BrakeEntry{Serial: 7, Version: v("1.0.0"), Action: release.Halt}
	var entries []release.BrakeEntry
	for i := range int64(3000) {
		entries = append(entries, release.BrakeEntry{Serial: i + 10, Version: v(fmt.Sprintf("2.0.%d", i)), Action: release.Halt},
			release.BrakeEntry{Serial: i + 10, Channel: "stable", Version: v("1.0.0"), Action: release.Halt},
			release.BrakeEntry{Serial: i % 7, Version: v("1.0.0"), Action: release.Halt},
			release.BrakeEntry{Serial: i % 10, Version: v("1.1.0"), Action: release.Yank})
	}
	if got := holding(append(entries, good), ix); len(got) != 1 || got[0] != good {
		t.Errorf("kept: %+v", got)
	}
	many := &release.Index{}
	for i := range 2000 {
		version := v(fmt.Sprintf("1.0.%d", i))
		many.Releases = append(many.Releases, release.Release{Version: version})
		entries = append(entries, release.BrakeEntry{Serial: 10000, Version: version, Action: release.Yank, Stop: release.Stop{Reason: strings.Repeat("x", 1024)}})
	}
	kept := holding(entries, many)
	if len(kept) != maxSeenEntries {
		t.Errorf("%d entries are kept, want %d", len(kept), maxSeenEntries)
	}
	c := &cache{dir: t.TempDir(), log: slog.New(slog.DiscardHandler)}
	if err := c.putSeen("beta/x.json", kept, nil); err != nil {
		t.Fatal(err)
	}
	if got := c.seen("beta/x.json"); len(got) != maxSeenEntries {
		t.Errorf("%d entries come back: what is kept does not fit", len(got))
	}
}

// What is kept and broken is dropped, with a warning.
func TestBrokenSeenIsDropped(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	for name, b := range map[string][]byte{
		"garbage": []byte("\x00garbage"), "null": []byte("null"), "of the future": []byte(`{"schema":99}`), "empty": nil, "huge": make([]byte, maxSeen+1),
	} {
		c := f.client(t.TempDir())
		var log bytes.Buffer
		c.cache.log = slog.New(slog.NewTextHandler(&log, nil))
		wantNewest(t, c, "beta", "1.0.0")
		file := c.cache.path(seenFile("beta/linux-amd64.json"))
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			wantNewest(t, c, "beta", "1.0.0")
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 {
			t.Errorf("%s: %d warnings: %s", name, n, log.String())
		}
		if _, err := os.Stat(file); !os.IsNotExist(err) {
			t.Errorf("%s: not dropped: %v", name, err)
		}
	}
}

// A brake that nobody delegates any more holds where it was seen: targets resume a release, or do not.
func TestSeenHoldsWithoutADelegation(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	dir := t.TempDir()
	if _, err := f.repo.Halt(t.Context(), StopRequest{Version: v("1.0.0")}); err != nil {
		t.Fatal(err)
	}
	if rel := find(t, f.client(dir), "beta", "1.0.0"); rel.Halted == nil {
		t.Fatalf("halted: %+v", rel)
	}
	f.repo.trusted.Targets["targets"].Signed.Delegations = nil
	f.putTargets()
	if rel := find(t, f.client(dir), "beta", "1.0.0"); rel.Halted == nil {
		t.Errorf("without a delegation: %+v", rel)
	}
}

// FuzzSeen: the files of the cache are anybody's who can write there. What is not taken is dropped, and what is taken is written back as it is.
func FuzzSeen(f *testing.F) {
	f.Add([]byte(`{"schema":1,"entries":[{"serial":3,"version":"1.0.0","action":"halt","since":"2026-01-01T00:00:00Z"}]}`), []byte(`{"etag":"x","sha256":""}`), []byte("3\n"))
	f.Add([]byte("null"), []byte("null"), []byte("-1"))
	dir := f.TempDir()
	c := &cache{dir: dir, log: slog.New(slog.DiscardHandler)}
	const index = "beta/linux-amd64.json"
	f.Fuzz(func(t *testing.T, seen, tag, behind []byte) {
		for name, b := range map[string][]byte{seenFile(index): seen, etagFile: tag, behindFile: behind, "timestamp.json": seen} {
			if err := os.WriteFile(c.path(name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		entries := c.seen(index)
		if err := c.putSeen(index, entries, nil); err != nil {
			t.Fatal(err)
		}
		if again := c.seen(index); len(again) != len(entries) {
			t.Errorf("%d entries, written and read: %d", len(entries), len(again))
		}
		if b, name := c.timestamp(); name != "" && !bytes.Equal(b, seen) {
			t.Errorf("tag %q of %q", name, b)
		}
		if n := c.behind(); n < 0 {
			t.Errorf("%d checks behind", n)
		}
	})
}
