package feed_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
	"github.com/moult-go/moult/updater"
	"github.com/moult-go/moult/updater/feed"
)

// TestVariants: a host takes the best variant that its own program was built for, one below it for want of that, and none above.
func TestVariants(t *testing.T) {
	s := newSite(t, nil)
	repo, err := tuf.Open(s.dir, tuf.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	publish := func(version string, platforms ...string) {
		t.Helper()
		q := tuf.PublishRequest{Version: release.MustParseVersion(version), Channel: "stable"}
		for _, name := range platforms {
			p, err := release.ParsePlatform(name)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "f")
			if err := os.WriteFile(file, []byte(version+name), 0o755); err != nil {
				t.Fatal(err)
			}
			q.Files = append(q.Files, tuf.File{Path: file, Platform: p})
		}
		if _, err := repo.Publish(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	publish("2.0.0", "plan9/amd64", "plan9/amd64/v3", "plan9/arm/v6", "plan9/arm/v7")
	publish("2.1.0", "plan9/amd64", "plan9/arm/v6") // the better ones are no longer built
	src := feed.New(s.url, s.root)
	for host, want := range map[string]string{
		"plan9/amd64":    "2.1.0 plan9/amd64, 2.0.0 plan9/amd64",
		"plan9/amd64/v2": "2.1.0 plan9/amd64, 2.0.0 plan9/amd64",
		"plan9/amd64/v4": "2.0.0 plan9/amd64/v3, 2.1.0 plan9/amd64",
		"plan9/arm/v7":   "2.0.0 plan9/arm/v7, 2.1.0 plan9/arm/v6",
		"plan9/arm/v6":   "2.1.0 plan9/arm/v6, 2.0.0 plan9/arm/v6",
		"plan9/arm/v5":   "",
		"plan9/arm":      "",
	} {
		q := s.query
		if q.Platform, err = release.ParsePlatform(host); err != nil {
			t.Fatal(err)
		}
		offered, err := src.Check(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if got := words(offered); got != want {
			t.Errorf("%s is offered %s; want %s", host, got, want)
		}
	}
}

func words(offered []updater.Candidate) string {
	var list []string
	for _, c := range offered {
		list = append(list, c.Version.String()+" "+c.Platform.String())
	}
	return strings.Join(list, ", ")
}
