package main

import (
	"strings"
	"testing"

	"github.com/moult-go/moult/release"
)

func TestList(t *testing.T) {
	smallFeed(t)
	said := want(t, 0, "list", "feed")
	var lines [][]string
	for line := range strings.Lines(said) {
		lines = append(lines, strings.Fields(line))
	}
	if len(lines) != 4 || lines[0][0] != "CHANNEL" {
		t.Fatalf("listed:\n%s", said)
	}
	for i, w := range []string{"beta 1.1.0", "beta 1.0.0", "stable 1.0.0"} {
		if got := strings.Join(lines[i+1][:2], " "); got != w || !strings.Contains(said, "linux/amd64, linux/arm64") {
			t.Errorf("line %d: %s", i+1, got)
		}
	}
	doc := document(t, want(t, 0, "list", "feed", "--channel=stable", "--platform=linux/arm64", "--json"))
	vs := doc["versions"].([]any)
	v := vs[0].(map[string]any)
	if len(vs) != 1 || v["version"] != "1.0.0" || v["share"] != 1.0 || len(v["platforms"].([]any)) != 1 {
		t.Errorf("listed %v", doc)
	}
	want(t, exitFailed, "list", "feed", "--channel=nightly")
	want(t, exitFailed, "list", "feed", "--platform=plan9/386")
	want(t, exitUsage, "list")
}

func TestPlatformsText(t *testing.T) {
	var ps []release.Platform
	for _, w := range []string{"", "linux/a", "linux/a, linux/b", "linux/a, linux/b, linux/c", "linux/a, linux/b and 2 more"} {
		if got := platformsText(ps); got != w {
			t.Errorf("%d platforms: %q, want %q", len(ps), got, w)
		}
		ps = append(ps, release.Platform{OS: "linux", Arch: string("abcd"[len(ps)%4])})
	}
}

func TestStateText(t *testing.T) {
	halt, yank := &release.Stop{Reason: "slow"}, &release.Stop{}
	for want, got := range map[string]string{
		"-":                           stateText(false, release.Version{}, nil, nil),
		"halted: slow":                stateText(false, release.Version{}, halt, nil),
		"yanked; halted: slow":        stateText(false, release.Version{}, halt, yank),
		"critical; from 1.2.0 on":     stateText(true, release.MustParseVersion("1.2.0"), nil, nil),
		"halted: evil [31m; critical": stateText(true, release.Version{}, &release.Stop{Reason: "evil \x1b[31m"}, nil),
	} {
		if strings.ReplaceAll(got, "  ", " ") != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestSizeText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 9999: "9999 B", 12345: "12.3 kB", 12345678: "12.3 MB"} {
		if got := sizeText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
