package tuf_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
)

// A publisher sets a feed up, publishes and promotes; a reader with the embedded root finds the release and downloads it.
func Example() {
	tmp, err := os.MkdirTemp("", "feed")
	check(err)
	defer os.RemoveAll(tmp)
	ctx := context.Background()

	// At the publisher's desk.
	dir := filepath.Join(tmp, "feed")
	repo, err := tuf.Init(ctx, dir, tuf.InitOptions{App: "hello", PlaintextKeys: true}) // real keys have a passphrase
	check(err)
	binary := filepath.Join(tmp, "hello")
	check(os.WriteFile(binary, []byte("an executable"), 0o755))
	version, platform := release.MustParseVersion("1.4.0"), release.Platform{OS: "linux", Arch: "amd64"}
	_, err = repo.Publish(ctx, tuf.PublishRequest{Version: version, Files: []tuf.File{{Path: binary, Platform: platform}}})
	check(err)
	_, err = repo.Promote(ctx, tuf.PromoteRequest{Version: version, From: "beta", To: "stable"})
	check(err)
	root, err := os.ReadFile(repo.RootFile()) // what the program embeds
	check(err)

	// In the program.
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	client, err := tuf.NewClient(server.URL, root, filepath.Join(tmp, "cache"), tuf.ClientOptions{App: "hello"})
	check(err)
	defer client.Close()
	check(client.Refresh(ctx))
	index, err := client.Index(ctx, "stable", platform)
	check(err)
	newest, err := index.Latest()
	check(err)
	var got strings.Builder
	check(client.Fetch(ctx, newest.Artifact.Full, &got))
	fmt.Println(newest.Version, got.String())
	// Output: 1.4.0 an executable
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
