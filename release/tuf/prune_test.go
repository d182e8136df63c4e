package tuf

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
)

func version(s string) release.Version { return release.MustParseVersion(s) }

// older lets time go by at the publisher's.
func (f *feed) older(d time.Duration) {
	f.t.Helper()
	f.now = f.now.Add(d)
}

func (f *feed) versions(channel string) string {
	f.t.Helper()
	all, err := f.repo.Indexes()
	if err != nil {
		f.t.Fatal(err)
	}
	var list []string
	for _, ix := range all {
		for _, r := range ix.Releases {
			if ix.Channel == channel {
				list = append(list, r.Version.String())
			}
		}
	}
	return strings.Join(list, " ")
}

func (f *feed) prune(q PruneRequest) *Pruned {
	f.t.Helper()
	p, err := f.repo.Prune(context.Background(), q)
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

func TestPruneKeeps(t *testing.T) {
	day := 24 * time.Hour
	for name, tc := range map[string]struct {
		change       func(*feed)
		q            PruneRequest
		beta, stable string
	}{
		"no rule":        {nil, PruneRequest{}, "1.4.0 1.3.0 1.2.0 1.1.0 1.0.0", "1.1.0 1.0.0"},
		"number":         {nil, PruneRequest{Keep: 2}, "1.4.0 1.3.0 1.1.0 1.0.0", "1.1.0 1.0.0"},
		"one":            {nil, PruneRequest{Keep: 1}, "1.4.0 1.1.0", "1.1.0"},
		"age":            {nil, PruneRequest{OlderThan: 25 * time.Hour}, "1.4.0 1.3.0 1.1.0", "1.1.0"},
		"age of all":     {func(f *feed) { f.older(9 * day) }, PruneRequest{OlderThan: time.Hour}, "1.4.0 1.1.0", "1.1.0"},
		"number and age": {nil, PruneRequest{Keep: 1, OlderThan: 49 * time.Hour}, "1.4.0 1.3.0 1.2.0 1.1.0", "1.1.0"},
		"newest is yanked": {func(f *feed) {
			if _, err := f.repo.Yank(context.Background(), StopRequest{Version: version("1.4.0"), Reason: "bad"}); err != nil {
				f.t.Fatal(err)
			}
		}, PruneRequest{Keep: 1}, "1.4.0 1.3.0 1.1.0", "1.1.0"},
		"stepping stones": {func(f *feed) {
			f.add("2.0.0", build("2.0.0"), PublishRequest{Minimum: version("1.3.0"), Deltas: -1})
			f.add("3.0.0", build("3.0.0"), PublishRequest{Minimum: version("2.0.0"), Deltas: -1})
		}, PruneRequest{Keep: 1}, "3.0.0 2.0.0 1.4.0 1.1.0", "1.1.0"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFeed(t)
			for _, v := range []string{"1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0"} {
				f.add(v, build(v), PublishRequest{Deltas: -1})
				f.older(day)
			}
			f.older(-day)
			for _, v := range []string{"1.0.0", "1.1.0"} {
				if _, err := f.repo.Promote(t.Context(), PromoteRequest{Version: version(v), Deltas: -1}); err != nil {
					t.Fatal(err)
				}
			}
			if tc.change != nil {
				tc.change(f)
			}
			before := f.versions("beta") + f.versions("stable")
			tc.q.DryRun = true
			f.prune(tc.q)
			if f.versions("beta")+f.versions("stable") != before {
				t.Error("a dry run changed something")
			}
			tc.q.DryRun = false
			f.prune(tc.q)
			if b, s := f.versions("beta"), f.versions("stable"); b != tc.beta || s != tc.stable {
				t.Errorf("beta %s, stable %s; want %s and %s", b, s, tc.beta, tc.stable)
			}
		})
	}
}

// reads lets a host look at everything that the feed offers.
func reads(t *testing.T, c *Client) error {
	t.Helper()
	if err := c.Refresh(t.Context()); err != nil {
		return err
	}
	for _, name := range c.Indexes() {
		ix, err := c.Index(t.Context(), name.Channel, name.Platform)
		if err != nil {
			return err
		}
		for _, r := range ix.Releases {
			all := []release.Payload{r.Artifact.Full}
			for _, d := range r.Artifact.Deltas {
				all = append(all, d.Payload)
			}
			for _, p := range all {
				var b bytes.Buffer
				if err := c.Fetch(t.Context(), p, &b); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Whoever was in the middle of a check goes on with it; what nobody needs any more goes after the grace period.
func TestPruneRemovesFiles(t *testing.T) {
	f := newFeed(t)
	for _, v := range []string{"1.0.0", "1.1.0", "1.2.0", "1.3.0"} {
		f.add(v, build(v), PublishRequest{})
	}
	foreign := []string{f.repo.metadataPath("README.txt"), filepath.Join(f.repo.dir, targetsDir, "index.html"), filepath.Join(f.repo.dir, "CNAME")}
	for _, path := range foreign {
		if err := os.WriteFile(path, []byte("mine"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	left := filepath.Join(f.repo.dir, targetsDir, ".new-123")
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	late := f.client(t.TempDir())
	if err := late.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := f.prune(PruneRequest{Keep: 2})
	if len(first.Releases) != 2 || first.Deltas == 0 || len(first.Files) != 0 || len(first.Waiting) == 0 {
		t.Fatalf("pruned %+v", first)
	}
	ix, err := late.Index(t.Context(), "beta", linux)
	if err != nil || len(ix.Releases) != 4 {
		t.Fatalf("a late reader found %v, %v", ix, err)
	}
	for _, r := range ix.Releases {
		var b bytes.Buffer
		if err := late.Fetch(t.Context(), r.Artifact.Full, &b); err != nil {
			t.Errorf("a late reader missed %s: %v", r.Version, err)
		}
	}
	f.now = time.Now().Add(25 * time.Hour)
	dry := f.prune(PruneRequest{DryRun: true})
	if err := reads(t, late); err != nil {
		t.Errorf("after a dry run: %v", err)
	}
	second := f.prune(PruneRequest{})
	if !slices.Equal(dry.Files, second.Files) || len(second.Files) == 0 || len(second.Waiting) != 0 {
		t.Errorf("said %v, removed %v; waiting %v", dry.Files, second.Files, second.Waiting)
	}
	if err := reads(t, f.client(t.TempDir())); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	wantNewest(t, f.client(t.TempDir()), "beta", "1.3.0")
	for _, path := range foreign {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("not ours: %v", err)
		}
	}
	for _, path := range []string{left, filepath.Join(f.repo.dir, targetsDir, "1.0.0")} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left (%v)", path, err)
		}
	}
	for name, want := range map[string]int{"root": 1, "targets": 2, "snapshot": 2} {
		if got, _ := filepath.Glob(f.repo.metadataPath("*." + name + ".json")); len(got) != want {
			t.Errorf("%d of %s are left: %v", len(got), name, got)
		}
	}
	if third := f.prune(PruneRequest{}); len(third.Files)+len(third.Waiting) != 0 {
		t.Errorf("once more: %+v", third)
	}
}

// A publication that was replaced a moment ago, however old its files are, is still read.
func TestPruneSparesWhatWasReplacedAMomentAgo(t *testing.T) {
	f := newFeed(t)
	f.add("1.0.0", build("1.0.0"), PublishRequest{})
	f.add("1.1.0", build("1.1.0"), PublishRequest{})
	long := time.Now().Add(-1000 * time.Hour)
	err := filepath.WalkDir(f.repo.dir, func(p string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			err = os.Chtimes(p, long, long)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	late := f.client(t.TempDir())
	if err := late.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := f.prune(PruneRequest{Keep: 1})
	for _, gone := range p.Files {
		if strings.Contains(gone.Path, "hello-") || strings.Contains(gone.Path, "3.targets") {
			t.Errorf("removed %s", gone.Path)
		}
	}
	ix, err := late.Index(t.Context(), "beta", linux)
	if err != nil || len(ix.Releases) != 2 {
		t.Fatalf("a late reader found %v, %v", ix, err)
	}
	for _, r := range ix.Releases {
		if err := late.Fetch(t.Context(), r.Artifact.Full, &bytes.Buffer{}); err != nil {
			t.Errorf("a late reader missed %s: %v", r.Version, err)
		}
	}
	if q := f.prune(PruneRequest{Grace: -1}); len(q.Files) == 0 {
		t.Error("nothing goes without grace")
	}
	if err := reads(t, f.client(t.TempDir())); err != nil {
		t.Error(err)
	}
}

// Killed at any step: readers find a whole feed, and the next run ends it.
func TestPruneKilled(t *testing.T) {
	killed := errors.New("killed")
	for at := 0; ; at++ {
		f := newFeed(t)
		for _, v := range []string{"1.1.0", "1.2.0"} {
			f.add(v, build(v), PublishRequest{})
		}
		steps := 0
		f.repo.beforeWrite = func(string) error {
			if steps++; steps > at {
				return killed
			}
			return nil
		}
		_, err := f.repo.Prune(t.Context(), PruneRequest{Keep: 1, Grace: -1})
		f.repo.beforeWrite = nil
		if err != nil && !errors.Is(err, killed) {
			t.Fatal(err)
		}
		if rerr := reads(t, f.client(t.TempDir())); rerr != nil {
			t.Errorf("killed at step %d: %v", at, rerr)
		}
		f.prune(PruneRequest{Keep: 1, Grace: -1})
		if rerr := reads(t, f.client(t.TempDir())); rerr != nil || f.versions("beta") != "1.2.0" {
			t.Errorf("killed at step %d, and run again: %v, %s", at, rerr, f.versions("beta"))
		}
		if err == nil {
			if at < 8 {
				t.Errorf("only %d steps", at)
			}
			return
		}
	}
}
