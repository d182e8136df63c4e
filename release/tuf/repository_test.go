package tuf

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
)

func TestPublishAndPromote(t *testing.T) {
	f := newFeed(t)
	c := f.client(t.TempDir())
	ctx := context.Background()
	if _, err := newest(c, "beta"); !errors.Is(err, ErrNoIndex) {
		t.Fatalf("an empty channel: %v", err)
	}
	rel := f.publish("1.0.0", "", "one")
	wantNewest(t, c, "beta", "1.0.0")
	if _, err := newest(c, "stable"); !errors.Is(err, ErrNoIndex) {
		t.Fatalf("stable before the promotion: %v", err)
	}
	f.publish("1.1.0", "beta", "two")
	if c, err := f.repo.Promote(ctx, PromoteRequest{Version: release.MustParseVersion("1.0.0")}); err != nil || len(c.Releases) != 1 {
		t.Fatalf("Promote = %+v, %v", c, err)
	}
	wantNewest(t, c, "stable", "1.0.0")
	wantNewest(t, c, "beta", "1.1.0")
	var got bytes.Buffer
	ix, err := c.Index(ctx, "stable", linux)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Fetch(ctx, ix.Releases[0].Artifact.Full, &got); err != nil || got.String() != "one" {
		t.Fatalf("Fetch = %q, %v", got.String(), err)
	}
	if r := ix.Releases[0]; r.Notes != "about 1.0.0" || r.Artifact.Full != rel.Artifact.Full || r.Published.IsZero() {
		t.Errorf("promoted entry %+v", r)
	}
	if names := c.Indexes(); len(names) != 2 || names[0] != (IndexName{"beta", linux}) || names[1].Channel != "stable" {
		t.Errorf("Indexes = %v", names)
	}
	if all, err := f.repo.Indexes(); err != nil || len(all) != 2 || f.repo.App() != "hello" || strings.Join(f.repo.Channels(), " ") != "beta stable" {
		t.Errorf("publisher sees %v, %v", all, err)
	}
}

func TestPublishRefuses(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	path := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(path, []byte("other"), 0o755); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	v := release.MustParseVersion
	file := []File{{Path: path, Platform: linux}}
	before := treeOf(t, f.repo.dir)
	for name, tc := range map[string]struct {
		q    PublishRequest
		want error
	}{
		"the same again":       {PublishRequest{Version: v("1.0.0"), Files: file}, ErrNotNewer},
		"older":                {PublishRequest{Version: v("0.9.0"), Files: file}, ErrNotNewer},
		"other bytes":          {PublishRequest{Version: v("1.0.0"), Channel: "stable", Files: file}, ErrConflict},
		"unknown channel":      {PublishRequest{Version: v("1.1.0"), Channel: "stabel", Files: file}, ErrUnknownChannel},
		"no version":           {PublishRequest{Files: file}, nil},
		"no files":             {PublishRequest{Version: v("1.1.0")}, nil},
		"no platform":          {PublishRequest{Version: v("1.1.0"), Files: []File{{Path: path}}}, nil},
		"one platform twice":   {PublishRequest{Version: v("1.1.0"), Files: []File{{Path: path, Platform: linux}, {Path: path, Platform: linux}}}, nil},
		"a file that is not":   {PublishRequest{Version: v("1.1.0"), Files: []File{{Path: path + "x", Platform: linux}}}, fs.ErrNotExist},
		"a changed file":       {PublishRequest{Version: v("1.1.0"), Files: []File{{Path: path, Platform: linux, SHA256: sum([]byte("others"))}}}, ErrChanged},
		"a file without bytes": {PublishRequest{Version: v("1.1.0"), Files: []File{{Path: empty, Platform: linux}}}, nil},
	} {
		if _, err := f.repo.Publish(context.Background(), tc.q); err == nil || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
		if _, err := f.repo.Plan(context.Background(), tc.q); err == nil || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("plan of %s: %v, want %v", name, err, tc.want)
		}
	}
	for _, p := range [][2]string{{"beta", "beta"}, {"beta", "none"}, {"none", "stable"}, {"stable", "beta"}} {
		if _, err := f.repo.Promote(context.Background(), PromoteRequest{Version: v("1.0.0"), From: p[0], To: p[1]}); err == nil {
			t.Errorf("promoted from %s to %s", p[0], p[1])
		}
	}
	if _, err := f.repo.Promote(context.Background(), PromoteRequest{Version: v("7.0.0")}); !errors.Is(err, release.ErrNoRelease) {
		t.Errorf("promote of what is not there: %v", err)
	}
	if after := treeOf(t, f.repo.dir); after != before {
		t.Errorf("a refusal left traces:\n%s\nbefore:\n%s", after, before)
	}
	file[0].SHA256, file[0].Module = sum([]byte("other")), "example.com/hello"
	forced := PublishRequest{Version: v("1.0.0"), Files: file, Force: true}
	if indexes, err := f.repo.Plan(context.Background(), forced); err != nil || len(indexes) != 1 || len(indexes[0].Releases) != 1 {
		t.Errorf("plan: %v, %v", indexes, err)
	}
	if after := treeOf(t, f.repo.dir); after != before {
		t.Errorf("a plan left traces:\n%s\nbefore:\n%s", after, before)
	}
	if rs, err := f.repo.Publish(context.Background(), forced); err != nil || rs[0].Artifact.Module != "example.com/hello" {
		t.Errorf("forced: %+v, %v", rs, err)
	}
}

// treeOf lists the files of a directory with their digests.
func treeOf(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		sum, _, err := release.DigestFile(path)
		b.WriteString(path + " " + sum.Short() + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRefresh(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	version := func() (v [5]int64) {
		for i, e := range f.repo.Expiries() {
			v[i] = e.Version
		}
		return v
	}
	ctx, start := context.Background(), f.now
	for _, step := range []struct {
		after time.Duration
		want  [5]int64 // root, targets, snapshot, timestamp, brake
	}{
		{time.Hour, [5]int64{1, 2, 2, 3, 1}},
		{16 * 24 * time.Hour, [5]int64{1, 2, 3, 4, 1}},
		{91 * 24 * time.Hour, [5]int64{1, 3, 4, 5, 2}}, // everything but root had run out or was about to
	} {
		f.now = start.Add(step.after)
		if err := f.repo.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		if got := version(); got != step.want {
			t.Errorf("after %v: versions %v, want %v", step.after, got, step.want)
		}
		for _, e := range f.repo.Expiries() {
			if e.Expires.Before(f.now.Add(7 * 24 * time.Hour)) {
				t.Errorf("after %v: %+v", step.after, e)
			}
		}
	}
}

// A host that only refreshes holds no targets key.
func TestRefreshWithTheOnlineKeyOnly(t *testing.T) {
	f := newFeed(t)
	if err := os.Remove(filepath.Join(f.repo.keyDir, TargetsRole.keyFile())); err != nil {
		t.Fatal(err)
	}
	r, err := Open(f.repo.dir, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Refresh(context.Background()); err != nil {
		t.Error(err)
	}
	q := PublishRequest{Version: release.MustParseVersion("1.0.0"), Files: []File{{Path: os.Args[0], Platform: linux}}}
	if _, err := r.Publish(context.Background(), q); !errors.Is(err, ErrNoKey) {
		t.Errorf("publish without the key: %v", err)
	}
}

// Whoever can write to the web server must not get his files signed by the next publication.
func TestPublisherRefusesATamperedTree(t *testing.T) {
	for name, pattern := range map[string]string{
		"index": "targets/beta/*.json", "settings": "targets/*feed.json", "targets": "metadata/2.targets.json",
		"snapshot": "metadata/2.snapshot.json", "timestamp": "metadata/timestamp.json",
	} {
		f := newFeed(t)
		f.publish("1.0.0", "beta", "one")
		files, err := filepath.Glob(filepath.Join(f.repo.dir, pattern))
		if err != nil || len(files) != 1 {
			t.Fatalf("%s: %v, %v", name, files, err)
		}
		b, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		b = bytes.Replace(b, []byte("2"), []byte("3"), 1)
		b = bytes.Replace(b, []byte("hello"), []byte("hullo"), 1)
		if err := os.WriteFile(files[0], b, 0o644); err != nil {
			t.Fatal(err)
		}
		q := PublishRequest{Version: release.MustParseVersion("1.1.0"), Files: []File{{Path: os.Args[0], Platform: linux}}}
		if _, err := f.repo.Publish(context.Background(), q); err == nil {
			t.Errorf("%s: published on top of a forged file", name)
		}
	}
}

func TestOnePublisherAtATime(t *testing.T) {
	f := newFeed(t)
	inside, goOn := make(chan struct{}), make(chan struct{})
	f.repo.beforeWrite = func(string) error {
		close(inside)
		<-goOn
		f.repo.beforeWrite = nil
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- f.repo.Refresh(context.Background()) }()
	select {
	case <-inside:
	case err := <-done:
		t.Fatalf("the first one did not stop where it was told to: %v", err)
	case <-time.After(10 * time.Second):
		t.Fatal("the first one does not write")
	}
	other, err := Open(f.repo.dir, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := other.Refresh(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the second one: %v", err)
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := other.Refresh(context.Background()); err != nil || other.Expiries()[3].Version != 3 {
		t.Errorf("after it: %v, %+v", err, other.Expiries())
	}
}
