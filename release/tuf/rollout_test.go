package tuf

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
)

var slow = []release.Point{{Seconds: 0, Share: 0.01}, {Seconds: 48 * 3600, Share: 1}}

func TestRollout(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	c, start := f.client(t.TempDir()), f.now
	done, err := f.repo.Rollout(t.Context(), RolloutRequest{Version: v("1.0.0"), Curve: slow})
	if err != nil || !slices.Equal(done.Keys, byTargets) || len(done.Releases) != 1 {
		t.Fatalf("Rollout = %+v, %v", done, err)
	}
	first := find(t, c, "beta", "1.0.0").Rollout
	if first == nil || len(first.Salt) != 32 || !first.Start.Equal(start.UTC().Truncate(time.Second)) || !slices.Equal(first.Curve, slow) {
		t.Fatalf("a first rollout: %+v", first)
	}
	f.now = start.Add(time.Hour)
	fast := []release.Point{{Seconds: 3600, Share: 1}}
	for _, step := range []struct {
		q              RolloutRequest
		salted, begins bool
	}{
		{RolloutRequest{}, false, false},
		{RolloutRequest{Restart: true}, false, true},
		{RolloutRequest{NewSalt: true}, true, true},
	} {
		before := find(t, c, "beta", "1.0.0").Rollout
		step.q.Version, step.q.Curve = v("1.0.0"), fast
		f.now = f.now.Add(time.Minute)
		if _, err := f.repo.Rollout(t.Context(), step.q); err != nil {
			t.Fatal(err)
		}
		after := find(t, c, "beta", "1.0.0").Rollout
		if !slices.Equal(after.Curve, fast) || (after.Salt != before.Salt) != step.salted || after.Start.Equal(f.now.UTC().Truncate(time.Second)) != step.begins ||
			after.Start.Equal(before.Start) == step.begins {
			t.Errorf("%+v: from %+v to %+v", step.q, before, after)
		}
	}
}

func TestRolloutRefuses(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	f.promote("1.0.0")
	before := treeOf(t, f.repo.dir)
	falls := []release.Point{{Seconds: 0, Share: 1}, {Seconds: 10, Share: 0.5}}
	for name, tc := range map[string]struct {
		q    RolloutRequest
		want error
	}{
		"no channel":         {RolloutRequest{Version: v("1.0.0"), Curve: slow}, ErrSeveralChannels},
		"no curve":           {RolloutRequest{Version: v("1.0.0"), Channel: "beta"}, nil},
		"a curve that falls": {RolloutRequest{Version: v("1.0.0"), Channel: "beta", Curve: falls}, nil},
		"no such version":    {RolloutRequest{Version: v("1.1.0"), Channel: "beta", Curve: slow}, release.ErrNoRelease},
	} {
		if _, err := f.repo.Rollout(t.Context(), tc.q); err == nil || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	q := RolloutRequest{Version: v("1.0.0"), Channel: "stable", Curve: slow, DryRun: true}
	if done, err := f.repo.Rollout(t.Context(), q); err != nil || len(done.Releases) != 1 || done.Releases[0].Release.Rollout == nil {
		t.Errorf("dry run: %+v, %v", done, err)
	}
	if after := treeOf(t, f.repo.dir); after != before {
		t.Errorf("it left traces:\n%s\nbefore:\n%s", after, before)
	}
}
