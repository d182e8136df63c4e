package main

import (
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
)

func TestDiff(t *testing.T) {
	r := smallFeed(t)
	url := serve(t, "feed")
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := (&viewFlags{root: "feed/metadata/1.root.json"}).open(newList(), "feed")
	if err != nil {
		t.Fatal(err)
	}
	if said := want(t, 0, "diff", url, "feed", "--root=feed/metadata/1.root.json"); !strings.Contains(said, "Both offer the same") {
		t.Errorf("a feed and itself: %s", said)
	}
	publishSmall(t, r, "1.2.0")
	after, err := (&viewFlags{}).open(newList(), "feed")
	if err != nil {
		t.Fatal(err)
	}
	d := newDiffResult(before, after)
	if len(d.Changes) != 2 || d.Same || d.Changes[0].Kind != "added" || d.Changes[0].Version.String() != "1.2.0" || d.Changes[0].Channel != "beta" {
		t.Errorf("after a release: %+v", d)
	}
	d = newDiffResult(after, before)
	if len(d.Changes) != 2 || d.Changes[0].Kind != "removed" || d.Changes[0].Version.String() != "1.2.0" {
		t.Errorf("the other way: %+v", d)
	}
	want(t, exitUsage, "diff", "feed")
	want(t, exitUsage, "diff", url, "feed")
}

func TestChangesOf(t *testing.T) {
	base := func() release.Release {
		p := release.Payload{Path: "a", Length: 1, SHA256: release.Digest{1}}
		return release.Release{Version: release.MustParseVersion("1.0.0"), Artifact: release.Artifact{Length: 1, SHA256: release.Digest{1}, Full: p}}
	}
	for want, change := range map[string]func(*release.Release){
		"":                   func(*release.Release) {},
		"another executable": func(r *release.Release) { r.Artifact.SHA256 = release.Digest{2} },
		"full payload":       func(r *release.Release) { r.Artifact.Full.Length = 7 },
		"1 deltas, was 0":    func(r *release.Release) { r.Artifact.Deltas = make([]release.Delta, 1) },
		"other notes":        func(r *release.Release) { r.Notes = "x" },
		"was: everybody":     func(r *release.Release) { r.Rollout = &release.Rollout{Salt: "s", Curve: []release.Point{{Share: 1}}} },
		"state: critical":    func(r *release.Release) { r.Critical = true },
		"state: yanked: bad": func(r *release.Release) { r.Yanked = &release.Stop{Reason: "bad"} },
		"dates or serials":   func(r *release.Release) { r.Published = time.Unix(1, 0) },
	} {
		r := base()
		change(&r)
		got := strings.Join(changesOf(base(), r), "\n")
		if !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
