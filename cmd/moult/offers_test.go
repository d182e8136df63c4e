package main

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
)

func TestVerifyDecodes(t *testing.T) {
	t.Chdir(t.TempDir())
	want(t, 0, "init", "feed", "--app", "hello", "--plaintext-keys")
	for _, v := range []string{"1.0.0", "1.1.0", "1.2.0"} {
		want(t, 0, "publish", "feed", writeVersion(t, v), "--version", v, "--skip-check", "module")
	}
	if said := want(t, 0, "verify", "feed", "--root=feed/metadata/1.root.json"); !strings.Contains(said, "1.2.0, downloaded and checked, with 2 deltas; older: 1.1.0, 1.0.0") {
		t.Errorf("said %s", said)
	}
	url, stop, err := serveDir("feed")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	root, err := os.ReadFile("feed/metadata/1.root.json")
	if err != nil {
		t.Fatal(err)
	}
	c, err := tuf.NewClient(url, root, t.TempDir(), tuf.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ix, err := c.Index(t.Context(), "beta", release.Platform{OS: "linux", Arch: "riscv64"})
	if err != nil {
		t.Fatal(err)
	}
	newest, _ := ix.Latest()
	for name, tc := range map[string]struct {
		change func(a *release.Artifact)
		want   error
	}{
		"good":                 {func(*release.Artifact) {}, nil},
		"other executable":     {func(a *release.Artifact) { a.SHA256[0] ^= 1 }, release.ErrDigest},
		"shorter executable":   {func(a *release.Artifact) { a.Length-- }, release.ErrTooLong},
		"another format":       {func(a *release.Artifact) { a.Full.Format = release.BSDiff40 }, release.ErrPayload},
		"unknown format":       {func(a *release.Artifact) { a.Full.Format = "future" }, release.ErrUnknownFormat},
		"delta from another":   {func(a *release.Artifact) { a.Deltas[0].From, a.Deltas[1].From = a.Deltas[1].From, a.Deltas[0].From }, release.ErrPayload},
		"delta from elsewhere": {func(a *release.Artifact) { a.Deltas = a.Deltas[:1]; a.Deltas[0].From = a.SHA256 }, release.ErrPayload},
	} {
		x := newOffers(c, t.TempDir(), func(tuf.Progress) {})
		x.learn(ix)
		a := newest.Artifact
		a.Deltas = append([]release.Delta{}, a.Deltas...)
		tc.change(&a)
		_, err := x.full(t.Context(), a)
		if err == nil {
			_, err = x.deltas(t.Context(), a)
		}
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}
