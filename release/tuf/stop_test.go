package tuf

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/moult-go/moult/release"
)

var v = release.MustParseVersion

// onDuty is the repository in the hands of somebody who has the online key alone.
func (f *feed) onDuty() *Repository {
	f.t.Helper()
	dir := f.t.TempDir()
	online, err := KeyFiles(f.repo.keyDir, OnlineRole)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, path := range append(online, TrustedRootFile(f.repo.dir, f.repo.keyDir)) {
		b, err := os.ReadFile(path)
		if err != nil {
			f.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), b, 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
	r, err := Open(f.repo.dir, OpenOptions{KeyDir: dir, Now: func() time.Time { return f.now }})
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

func (f *feed) promote(version string) {
	f.t.Helper()
	if _, err := f.repo.Promote(f.t.Context(), PromoteRequest{Version: v(version)}); err != nil {
		f.t.Fatal(err)
	}
}

// find is a version as a client sees it.
func find(t *testing.T, c *Client, channel, version string) release.Release {
	t.Helper()
	if err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	ix, err := c.Index(t.Context(), channel, linux)
	if err != nil {
		t.Fatal(err)
	}
	rel, err := ix.Find(v(version))
	if err != nil {
		t.Fatal(err)
	}
	return rel
}

// The online key alone stops a release, in one channel or in all; letting go again takes the targets key.
func TestHaltWithTheOnlineKey(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	f.publish("1.1.0", "beta", "two")
	f.promote("1.0.0")
	c, duty := f.client(t.TempDir()), f.onDuty()
	wantNewest(t, c, "beta", "1.1.0")
	done, err := duty.Halt(t.Context(), StopRequest{Version: v("1.0.0"), Channel: "stable", Reason: "it crashes"})
	if err != nil || !slices.Equal(done.Keys, byOnline) || len(done.Releases) != 1 || done.Releases[0].Channel != "stable" {
		t.Fatalf("Halt = %+v, %v", done, err)
	}
	if rel := find(t, c, "stable", "1.0.0"); rel.Halted == nil || rel.Halted.Reason != "it crashes" || !rel.Halted.Since.Equal(f.now.UTC().Truncate(time.Second)) || rel.Yanked != nil {
		t.Errorf("in stable: %+v", rel)
	}
	if rel := find(t, c, "beta", "1.0.0"); rel.Halted != nil {
		t.Errorf("in beta: %+v", rel)
	}
	if done, err := duty.Halt(t.Context(), StopRequest{Version: v("1.0.0")}); err != nil || len(done.Releases) != 2 {
		t.Fatalf("in all channels: %+v, %v", done, err)
	}
	if rel := find(t, c, "beta", "1.0.0"); rel.Halted == nil {
		t.Errorf("in beta: %+v", rel)
	}
	if rel := find(t, c, "beta", "1.1.0"); rel.Halted != nil {
		t.Errorf("another version: %+v", rel)
	}
	before := treeOf(t, f.repo.dir)
	if done, err := duty.Halt(t.Context(), StopRequest{Version: v("1.0.0"), Channel: "stable"}); err != nil || done.Keys != nil || len(done.Releases) != 1 {
		t.Errorf("once more: %+v, %v", done, err)
	}
	if done, err := duty.Yank(t.Context(), StopRequest{Version: v("1.0.0"), DryRun: true}); err != nil || !slices.Equal(done.Keys, byOnline) || done.Releases[0].Release.Yanked == nil {
		t.Errorf("dry run: %+v, %v", done, err)
	}
	for _, q := range []StopRequest{{Version: v("7.0.0")}, {Version: v("1.1.0"), Channel: "stable"}} {
		if _, err := duty.Halt(t.Context(), q); !errors.Is(err, release.ErrNoRelease) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	if _, err := duty.Halt(t.Context(), StopRequest{Version: v("1.0.0"), Channel: "none"}); !errors.Is(err, ErrUnknownChannel) {
		t.Error(err)
	}
	if _, err := duty.Resume(t.Context(), ResumeRequest{Version: v("1.0.0")}); !errors.Is(err, ErrNoKey) {
		t.Errorf("resumed without the targets key: %v", err)
	}
	if _, err := duty.Rollout(t.Context(), RolloutRequest{Version: v("1.1.0"), Curve: slow}); !errors.Is(err, ErrNoKey) {
		t.Errorf("rolled out without the targets key: %v", err)
	}
	if _, err := duty.Promote(t.Context(), PromoteRequest{Version: v("1.1.0")}); !errors.Is(err, ErrNoKey) {
		t.Errorf("promoted without the targets key: %v", err)
	}
	if after := treeOf(t, f.repo.dir); after != before {
		t.Errorf("what changes nothing left traces:\n%s\nbefore:\n%s", after, before)
	}
	if done, err := f.repo.Halt(t.Context(), StopRequest{Version: v("1.1.0")}); err != nil || !slices.Equal(done.Keys, byOnline) {
		t.Errorf("halted by both keys: %+v, %v", done, err)
	}
	if rel := find(t, c, "beta", "1.1.0"); rel.Halted == nil || rel.Yanked != nil {
		t.Errorf("halted by both keys: %+v", rel)
	}
	if all, err := f.repo.Indexes(); err != nil || all[0].Releases[1].Halted == nil {
		t.Errorf("the publisher does not see the brake: %v", err)
	}
}

// With both keys a yank is in the index as well, where no later brake takes it out.
func TestYank(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	c := f.client(t.TempDir())
	if done, err := f.onDuty().Yank(t.Context(), StopRequest{Version: v("1.0.0"), Reason: "it leaks"}); err != nil || !slices.Equal(done.Keys, byOnline) {
		t.Fatalf("Yank = %+v, %v", done, err)
	}
	if rel := find(t, c, "beta", "1.0.0"); rel.Yanked == nil || rel.Yanked.Reason != "it leaks" {
		t.Errorf("yanked: %+v", rel)
	}
	f.publish("1.1.0", "beta", "two")
	if done, err := f.repo.Yank(t.Context(), StopRequest{Version: v("1.1.0")}); err != nil || !slices.Equal(done.Keys, byTargets) {
		t.Fatalf("Yank = %+v, %v", done, err)
	}
	ix, err := f.repo.index("beta/linux-amd64.json")
	if err != nil {
		t.Fatal(err)
	}
	if old, err := ix.Find(v("1.0.0")); err != nil || old.Yanked != nil {
		t.Errorf("the brake has leaked into the index: %+v, %v", old, err)
	}
	if rel, err := ix.Find(v("1.1.0")); err != nil || rel.Yanked == nil {
		t.Errorf("in the index: %+v, %v", rel, err)
	}
	if rel := find(t, f.client(t.TempDir()), "beta", "1.1.0"); rel.Yanked == nil {
		t.Errorf("yanked: %+v", rel)
	}
}

func TestResume(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	f.promote("1.0.0")
	c, start := f.client(t.TempDir()), f.now
	if _, err := f.repo.Rollout(t.Context(), RolloutRequest{Version: v("1.0.0"), Channel: "stable", Curve: slow}); err != nil {
		t.Fatal(err)
	}
	f.now = start.Add(time.Hour)
	if _, err := f.onDuty().Halt(t.Context(), StopRequest{Version: v("1.0.0")}); err != nil {
		t.Fatal(err)
	}
	f.now = start.Add(5 * time.Hour)
	done, err := f.repo.Resume(t.Context(), ResumeRequest{Version: v("1.0.0"), Channel: "stable"})
	if err != nil || !slices.Equal(done.Keys, byTargets) || len(done.Releases) != 1 || done.Releases[0].Release.Halted != nil {
		t.Fatalf("Resume = %+v, %v", done, err)
	}
	rel := find(t, c, "stable", "1.0.0")
	if rel.Halted != nil || rel.Resumed != 1 {
		t.Errorf("in stable: %+v", rel)
	}
	if want := start.UTC().Truncate(time.Second).Add(4 * time.Hour); !rel.Rollout.Start.Equal(want) {
		t.Errorf("a rollout of one hour, stopped for four: it starts at %s, want %s", rel.Rollout.Start, want)
	}
	if rel := find(t, c, "beta", "1.0.0"); rel.Halted == nil {
		t.Errorf("in beta: %+v", rel)
	}
	if done, err := f.repo.Resume(t.Context(), ResumeRequest{Version: v("1.0.0"), Channel: "stable"}); err != nil || done.Keys != nil {
		t.Errorf("once more: %+v, %v", done, err)
	}
	// It can be halted again, and the serial that was taken back does not come again.
	if _, err := f.onDuty().Halt(t.Context(), StopRequest{Version: v("1.0.0")}); err != nil {
		t.Fatal(err)
	}
	if rel := find(t, c, "stable", "1.0.0"); rel.Halted == nil {
		t.Errorf("halted again: %+v", rel)
	}
	if _, err := f.repo.Yank(t.Context(), StopRequest{Version: v("1.0.0")}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.repo.Resume(t.Context(), ResumeRequest{Version: v("1.0.0")}); !errors.Is(err, ErrYanked) {
		t.Errorf("a yanked one: %v", err)
	}
	if _, err := f.repo.Resume(t.Context(), ResumeRequest{Version: v("1.0.0"), Yanked: true}); err != nil {
		t.Fatal(err)
	}
	for _, channel := range []string{"beta", "stable"} {
		if rel := find(t, c, channel, "1.0.0"); rel.Halted != nil || rel.Yanked != nil {
			t.Errorf("in %s: %+v", channel, rel)
		}
	}
}

// A brake says itself since when it holds: whatever a thief writes there, a rollout goes on at its start at the earliest, and never ahead.
func TestResumeDistrustsTheTimeOfTheBrake(t *testing.T) {
	for since, want := range map[time.Duration]time.Duration{-1000 * time.Hour: 2 * time.Hour, 1000 * time.Hour: 0, time.Hour: time.Hour} {
		f := newFeed(t)
		f.publish("1.0.0", "beta", "one")
		if _, err := f.repo.Rollout(t.Context(), RolloutRequest{Version: v("1.0.0"), Curve: slow}); err != nil {
			t.Fatal(err)
		}
		start := f.now.UTC().Truncate(time.Second)
		f.brakeWith(release.BrakeEntry{Serial: 1, Version: v("1.0.0"), Action: release.Halt, Stop: release.Stop{Since: start.Add(since)}})
		f.now = f.now.Add(2 * time.Hour)
		if _, err := f.repo.Resume(t.Context(), ResumeRequest{Version: v("1.0.0")}); err != nil {
			t.Fatal(err)
		}
		rel := find(t, f.client(t.TempDir()), "beta", "1.0.0")
		if got := rel.Rollout.Start.Sub(start); got != want {
			t.Errorf("stopped since %v: the start is %v later, want %v", since, got, want)
		}
	}
}

// brakeWith publishes a brake of these entries, as a thief of the online key would.
func (f *feed) brakeWith(entries ...release.BrakeEntry) {
	f.t.Helper()
	k := release.Brake{Schema: 1, App: "hello", Entries: entries}
	b, err := k.Marshal()
	if err != nil {
		f.t.Fatal(err)
	}
	f.putBrake(string(b))
}

// A thief who takes the highest serial must not disarm the brake, nor one who takes all entries out.
func TestSerials(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	f.publish("1.1.0", "beta", "two")
	c := f.client(t.TempDir())
	f.brakeWith(release.BrakeEntry{Serial: 7, Version: v("1.1.0"), Action: release.Halt})
	if _, err := f.repo.Resume(t.Context(), ResumeRequest{Version: v("1.1.0")}); err != nil {
		t.Fatal(err)
	}
	f.brakeWith()
	if _, err := f.onDuty().Halt(t.Context(), StopRequest{Version: v("1.1.0")}); err != nil {
		t.Fatal(err)
	}
	if rel := find(t, c, "beta", "1.1.0"); rel.Halted == nil || rel.Resumed != 7 {
		t.Errorf("halted after a theft: %+v", rel)
	}
	if err := f.repo.load(); err != nil {
		t.Fatal(err)
	}
	f.brakeWith(release.BrakeEntry{Serial: 1, Version: v("2.0.0"), Action: release.Halt}, release.BrakeEntry{Serial: math.MaxInt64, Version: v("1.1.0"), Action: release.Halt})
	if _, err := f.onDuty().Halt(t.Context(), StopRequest{Version: v("1.0.0")}); err != nil {
		t.Fatal(err)
	}
	if rel := find(t, c, "beta", "1.0.0"); rel.Halted == nil {
		t.Errorf("halted with all serials used up: %+v", rel)
	}
	if err := f.repo.load(); err != nil {
		t.Fatal(err)
	}
	if e := f.repo.brake.Entries; len(e) != 3 || e[1].Serial != 2 {
		t.Errorf("entries %+v", e)
	}
	if _, err := f.repo.Resume(t.Context(), ResumeRequest{Version: v("1.1.0")}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.repo.Halt(t.Context(), StopRequest{Version: v("1.1.0")}); err == nil {
		t.Error("halted what no serial can stop any more, without an error")
	}
}

// The brake does not grow for ever: a publication with the targets key drops what holds for nothing.
func TestCompactBrake(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	f.publish("1.1.0", "beta", "two")
	var entries []release.BrakeEntry
	for i := range int64(compactAbove) {
		entries = append(entries, release.BrakeEntry{Serial: i + 1, Version: v("0.9.0"), Action: release.Halt})
	}
	entries[4].Version, entries[5].Version = v("1.0.0"), v("1.1.0")
	entries[6].Version, entries[6].Channel = v("1.1.0"), "stable"
	f.brakeWith(entries...)
	if _, err := f.repo.Resume(t.Context(), ResumeRequest{Version: v("1.0.0")}); err != nil {
		t.Fatal(err)
	}
	if n := len(f.repo.brake.Entries); n != compactAbove {
		t.Errorf("compacted to %d before there were more than %d", n, compactAbove)
	}
	entries = append(entries, release.BrakeEntry{Serial: 100, Version: v("0.9.0"), Action: release.Halt})
	f.brakeWith(entries...)
	f.publish("1.2.0", "beta", "three")
	var left []int64
	for _, e := range f.repo.brake.Entries {
		left = append(left, e.Serial)
	}
	if !slices.Equal(left, []int64{6, 100}) {
		t.Errorf("entries left: %v", left)
	}
	c := f.client(t.TempDir())
	if find(t, c, "beta", "1.1.0").Halted == nil || find(t, c, "beta", "1.0.0").Halted != nil {
		t.Error("what holds has changed")
	}
}

// In a feed without a brake the first stop needs the targets key, which adds the delegation.
func TestHaltInAFeedWithoutABrake(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	f.repo.trusted.Targets[metadata.TARGETS].Signed.Delegations = nil
	delete(f.repo.trusted.Snapshot.Signed.Meta, "brake.json")
	f.putTargets()
	if _, err := f.onDuty().Halt(t.Context(), StopRequest{Version: v("1.0.0")}); !errors.Is(err, ErrNoKey) {
		t.Errorf("halted without a delegation: %v", err)
	}
	done, err := f.repo.Halt(t.Context(), StopRequest{Version: v("1.0.0")})
	if err != nil || !slices.Equal(done.Keys, byTargets) {
		t.Fatalf("Halt = %+v, %v", done, err)
	}
	if rel := find(t, f.client(t.TempDir()), "beta", "1.0.0"); rel.Halted == nil {
		t.Errorf("halted: %+v", rel)
	}
}

// A host without the targets key keeps the brake fresh as well.
func TestRefreshOfTheBrake(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	f.now = f.now.Add(brakeLife/2 + time.Hour)
	duty := f.onDuty()
	if err := duty.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, e := range duty.Expiries() {
		if due := duty.due(e.Expires, brakeLife); e.Role == brakeRole && (due || e.Version != 2) {
			t.Errorf("not renewed: %+v", e)
		}
	}
}
