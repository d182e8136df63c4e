package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
)

func TestShow(t *testing.T) {
	smallFeed(t)
	said := want(t, 0, "show", "feed", "1.0.0")
	for _, line := range []string{"hello 1.0.0 in beta", "hello 1.0.0 in stable", "notes    about 1.0.0", "linux/arm64", "1.0.0/"} {
		if !strings.Contains(said, line) {
			t.Errorf("show does not say %q:\n%s", line, said)
		}
	}
	doc := document(t, want(t, 0, "show", "feed", "v1.0.0", "--channel=stable", "--json"))
	rs := doc["releases"].([]any)
	r := rs[0].(map[string]any)
	if len(rs) != 2 || r["channel"] != "stable" || r["artifact"].(map[string]any)["length"] != float64(len("1.0.0 for amd64")) {
		t.Errorf("shown %v", doc)
	}
	doc = document(t, want(t, 0, "show", "feed", "--json"))
	heads := doc["channels"].([]any)
	if h := heads[0].(map[string]any); len(heads) != 2 || h["newest"] != "1.1.0" || h["platforms"] != 2.0 || h["releases"] != 2.0 {
		t.Errorf("shown %v", doc)
	}
	if said := want(t, 0, "show", "feed"); !strings.Contains(said, "timestamp") {
		t.Errorf("shown %s", said)
	}
	want(t, exitFailed, "show", "feed", "3.0.0")
	want(t, exitUsage, "show", "feed", "three")
}

// TestShowsAllOfARelease: rollout, stops and deltas are there to see, and no control character of a publisher's words.
func TestShowsAllOfARelease(t *testing.T) {
	d := release.Digest{1}
	rel := release.Release{
		Version: release.MustParseVersion("1.0.0"), Notes: "one\ntwo \x1b[2J", Halted: &release.Stop{Reason: "slow"},
		Rollout: &release.Rollout{Salt: "s", Start: time.Now().Add(-time.Hour), Curve: []release.Point{{Seconds: 0, Share: 0.25}, {Seconds: 7200, Share: 0.25}}},
		Artifact: release.Artifact{
			Length: 1000, SHA256: d, Full: release.Payload{Path: "a", Length: 500, SHA256: d, Format: release.Zstd},
			Deltas: []release.Delta{{From: release.Digest{2}, Payload: release.Payload{Path: "b", Length: 50, SHA256: d, Format: release.Patch}}},
		},
	}
	ix := &release.Index{App: "hello", Channel: "beta", Releases: []release.Release{rel}}
	r := newShowResult(&view{app: "hello", indexes: []*release.Index{ix}}, []*release.Index{ix}, rel.Version, time.Now())
	var out bytes.Buffer
	r.text(&out)
	said := out.String()
	for _, words := range []string{"halted: slow", "25 % of the hosts", "zstd", "50 %", "delta", "5 %", "from sha256 02", "two"} {
		if !strings.Contains(said, words) {
			t.Errorf("it does not say %q:\n%s", words, said)
		}
	}
	if strings.Contains(said, "\x1b") {
		t.Error("a control character got through")
	}
}
