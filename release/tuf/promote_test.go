package tuf

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/moult-go/moult/release"
)

// A promoted release starts with a rollout of its own, or for everybody: that of the channel where it comes from is not taken along.
func TestPromoteBeginsItsOwnRollout(t *testing.T) {
	f := newFeed(t)
	path := filepath.Join(t.TempDir(), "hello")
	if err := os.WriteFile(path, []byte("one"), 0o755); err != nil {
		t.Fatal(err)
	}
	files := []File{{Path: path, Platform: linux}}
	q := PublishRequest{Version: v("1.1.0"), Files: files, Critical: true, Minimum: v("1.0.0"), Rollout: slow}
	if _, err := f.repo.Publish(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	c := f.client(t.TempDir())
	beta := find(t, c, "beta", "1.1.0")
	if !beta.Critical || beta.Minimum.String() != "1.0.0" || beta.Rollout == nil || !slices.Equal(beta.Rollout.Curve, slow) {
		t.Fatalf("published: %+v", beta)
	}
	f.promote("1.1.0")
	if rel := find(t, c, "stable", "1.1.0"); !rel.Critical || rel.Minimum.String() != "1.0.0" || rel.Rollout != nil {
		t.Errorf("promoted: %+v", rel)
	}
	p := PromoteRequest{Version: v("1.1.0"), Rollout: slow, Minimum: v("1.0.5")}
	if _, err := f.repo.Promote(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	stable := find(t, c, "stable", "1.1.0")
	if stable.Rollout == nil || stable.Rollout.Salt == beta.Rollout.Salt || stable.Minimum.String() != "1.0.5" {
		t.Errorf("promoted with a rollout: %+v", stable)
	}
	f.promote("1.1.0")
	if rel := find(t, c, "stable", "1.1.0"); rel.Rollout == nil || rel.Rollout.Salt != stable.Rollout.Salt {
		t.Errorf("promoted once more, its rollout has gone: %+v", rel)
	}
	for _, bad := range []PromoteRequest{
		{Version: v("1.1.0"), Minimum: v("2.0.0")},
		{Version: v("1.1.0"), Rollout: []release.Point{{Share: 2}}},
	} {
		if _, err := f.repo.Promote(t.Context(), bad); err == nil {
			t.Errorf("promoted: %+v", bad)
		}
		q := PublishRequest{Version: v("1.1.0"), Files: files, Force: true, Minimum: bad.Minimum, Rollout: bad.Rollout}
		if _, err := f.repo.Publish(t.Context(), q); err == nil {
			t.Errorf("published: %+v", bad)
		}
	}
}

func TestPromoteIntoANewChannel(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	q := PromoteRequest{Version: v("1.0.0"), To: "edge"}
	if _, err := f.repo.Promote(t.Context(), q); !errors.Is(err, ErrUnknownChannel) {
		t.Errorf("a channel that is not there: %v", err)
	}
	q.Create, q.DryRun = true, true
	if done, err := f.repo.Promote(t.Context(), q); err != nil || len(done.Releases) != 1 || len(f.repo.Channels()) != 2 {
		t.Errorf("dry run: %+v, %v; channels %v", done, err, f.repo.Channels())
	}
	q.DryRun = false
	if _, err := f.repo.Promote(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	r, err := Open(f.repo.dir, OpenOptions{})
	if err != nil || !slices.Equal(r.Channels(), []string{"beta", "edge", "stable"}) {
		t.Errorf("channels %v, %v", r.Channels(), err)
	}
	wantNewest(t, f.client(t.TempDir()), "edge", "1.0.0")
	q.To = "a/b"
	if _, err := f.repo.Promote(t.Context(), q); err == nil {
		t.Error("made a channel of a bad name")
	}
}

// What is stopped goes nowhere, unless it is forced to: then it is free where it goes.
func TestStoppedReleasesAreNotPromoted(t *testing.T) {
	for name, stop := range map[string]func(f *feed) error{
		"halted": func(f *feed) error {
			_, err := f.onDuty().Halt(f.t.Context(), StopRequest{Version: v("1.0.0")})
			return err
		},
		"halted in beta": func(f *feed) error {
			_, err := f.onDuty().Halt(f.t.Context(), StopRequest{Version: v("1.0.0"), Channel: "beta"})
			return err
		},
		"yanked in the index": func(f *feed) error {
			_, err := f.repo.Yank(f.t.Context(), StopRequest{Version: v("1.0.0")})
			return err
		},
		"halted where it goes": func(f *feed) error {
			f.promote("1.0.0")
			_, err := f.onDuty().Halt(f.t.Context(), StopRequest{Version: v("1.0.0"), Channel: "stable"})
			return err
		},
	} {
		f := newFeed(t)
		f.publish("1.0.0", "beta", "one")
		if err := stop(f); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		before := treeOf(t, f.repo.dir)
		q := PromoteRequest{Version: v("1.0.0")}
		if _, err := f.repo.Promote(t.Context(), q); !errors.Is(err, ErrStopped) {
			t.Errorf("%s: promoted: %v", name, err)
		}
		if after := treeOf(t, f.repo.dir); after != before {
			t.Errorf("%s: it left traces:\n%s\nbefore:\n%s", name, after, before)
		}
		q.Force = true
		if _, err := f.repo.Promote(t.Context(), q); err != nil {
			t.Fatalf("%s: forced: %v", name, err)
		}
		if rel := find(t, f.client(t.TempDir()), "stable", "1.0.0"); rel.Halted != nil || rel.Yanked != nil {
			t.Errorf("%s: forced: %+v", name, rel)
		}
	}
}

// What is stopped in all channels is not published in another one either.
func TestStoppedReleasesAreNotPublished(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	if _, err := f.onDuty().Halt(t.Context(), StopRequest{Version: v("1.0.0")}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "hello")
	if err := os.WriteFile(path, []byte("one"), 0o755); err != nil {
		t.Fatal(err)
	}
	before := treeOf(t, f.repo.dir)
	q := PublishRequest{Version: v("1.0.0"), Channel: "stable", Files: []File{{Path: path, Platform: linux}}}
	if _, err := f.repo.Plan(t.Context(), q); !errors.Is(err, ErrStopped) {
		t.Errorf("planned: %v", err)
	}
	if _, err := f.repo.Publish(t.Context(), q); !errors.Is(err, ErrStopped) {
		t.Errorf("published: %v", err)
	}
	if after := treeOf(t, f.repo.dir); after != before {
		t.Errorf("it left traces:\n%s\nbefore:\n%s", after, before)
	}
	q.Force = true
	if _, err := f.repo.Publish(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	c := f.client(t.TempDir())
	if find(t, c, "stable", "1.0.0").Halted != nil || find(t, c, "beta", "1.0.0").Halted == nil {
		t.Error("forced: it is free in beta, or halted in stable")
	}
}
