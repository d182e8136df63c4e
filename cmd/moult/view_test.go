package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
)

// smallFeed makes a feed in ./feed with two platforms: 1.0.0 in both channels, 1.1.0 in beta. It returns its publisher.
func smallFeed(t *testing.T) *tuf.Repository {
	t.Helper()
	t.Chdir(t.TempDir())
	r, err := tuf.Init(t.Context(), "feed", tuf.InitOptions{App: "hello", PlaintextKeys: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"1.0.0", "1.1.0"} {
		publishSmall(t, r, version)
	}
	if _, err := r.Promote(t.Context(), tuf.PromoteRequest{Version: release.MustParseVersion("1.0.0")}); err != nil {
		t.Fatal(err)
	}
	return r
}

func publishSmall(t *testing.T, r *tuf.Repository, version string) {
	t.Helper()
	q := tuf.PublishRequest{Version: release.MustParseVersion(version), Notes: "about " + version}
	for _, arch := range []string{"amd64", "arm64"} {
		path := filepath.Join(t.TempDir(), arch)
		if err := os.WriteFile(path, []byte(version+" for "+arch), 0o755); err != nil {
			t.Fatal(err)
		}
		q.Files = append(q.Files, tuf.File{Path: path, Platform: release.Platform{OS: "linux", Arch: arch}})
	}
	if _, err := r.Publish(t.Context(), q); err != nil {
		t.Fatal(err)
	}
}

// serve serves a directory for the time of a test.
func serve(t *testing.T, dir string) string {
	t.Helper()
	url, stop, err := serveDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return url
}

// TestViewsAgree: a directory and the URL that serves it say the same, with and without keys.
func TestViewsAgree(t *testing.T) {
	smallFeed(t)
	url := serve(t, "feed")
	for _, command := range [][]string{{"list"}, {"show"}, {"show", "1.0.0"}} {
		at := func(where string, flags ...string) string {
			args := append([]string{command[0], where}, command[1:]...)
			return want(t, 0, append(args, flags...)...)
		}
		of := at("feed")
		if served := at(url, "--root=feed/metadata/1.root.json"); served != of {
			t.Errorf("moult %s: of the URL\n%s\nof the directory\n%s", command, served, of)
		}
		if rooted := at("feed", "--root=feed/metadata/1.root.json"); rooted != of {
			t.Errorf("moult %s: with a root\n%s", command, rooted)
		}
	}
	if err := os.Rename("feed-keys", "gone"); err != nil {
		t.Fatal(err)
	}
	if _, _, stderr := moult(t, "list", "feed"); !strings.Contains(stderr, "warning: feed is verified from its own first root") {
		t.Errorf("without keys and root: %s", stderr)
	}
	want(t, exitUsage, "list", url)
	want(t, exitFailed, "list", "feed", "--keys=nowhere")
	other := filepath.Join(t.TempDir(), "other")
	r, err := tuf.Init(t.Context(), other, tuf.InitOptions{App: "hello", PlaintextKeys: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"list", "show"} {
		want(t, exitVerify, command, "feed", "--root="+r.RootFile())
		want(t, exitVerify, command, url, "--root="+r.RootFile())
	}
}

// TestViewOfExpired: what a release manager looks for in a feed that expired must be there to see.
func TestViewOfExpired(t *testing.T) {
	t.Chdir(t.TempDir())
	long := func() time.Time { return time.Now().Add(-400 * 24 * time.Hour) }
	if _, err := tuf.Init(t.Context(), "feed", tuf.InitOptions{App: "hello", PlaintextKeys: true, Now: long}); err != nil {
		t.Fatal(err)
	}
	want(t, 0, "list", "feed")
	want(t, exitVerify, "list", serve(t, "feed"), "--root=feed/metadata/1.root.json")
}
