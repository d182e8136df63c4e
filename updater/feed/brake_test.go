package feed_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
	"github.com/moult-go/moult/updater/feed"
)

// What the online key alone stops is stopped for a host that knows the release already, until the targets key resumes it.
func TestHaltedWithTheOnlineKey(t *testing.T) {
	s := newSite(t, nil)
	src := feed.New(s.url, s.root)
	offered, err := src.Check(t.Context(), s.query)
	if err != nil || len(offered) != 1 || offered[0].Halted != nil {
		t.Fatalf("offered %+v, %v", offered, err)
	}
	keys := t.TempDir()
	for _, name := range []string{"online.key", "root.json"} {
		b, err := os.ReadFile(filepath.Join(s.dir+"-keys", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(keys, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	duty, err := tuf.Open(s.dir, tuf.OpenOptions{KeyDir: keys})
	if err != nil {
		t.Fatal(err)
	}
	v := release.MustParseVersion("1.2.3")
	if _, err := duty.Halt(t.Context(), tuf.StopRequest{Version: v, Reason: "it crashes"}); err != nil {
		t.Fatal(err)
	}
	offered, err = src.Check(t.Context(), s.query)
	if err != nil || len(offered) != 1 || offered[0].Halted == nil || offered[0].Halted.Reason != "it crashes" || offered[0].Yanked != nil {
		t.Fatalf("halted: %+v, %v", offered, err)
	}
	if _, err := duty.Yank(t.Context(), tuf.StopRequest{Version: v}); err != nil {
		t.Fatal(err)
	}
	offered, err = src.Check(t.Context(), s.query)
	if err != nil || len(offered) != 1 || offered[0].Yanked == nil {
		t.Fatalf("yanked: %+v, %v", offered, err)
	}
	owner, err := tuf.Open(s.dir, tuf.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := owner.Resume(t.Context(), tuf.ResumeRequest{Version: v, Yanked: true}); err != nil {
		t.Fatal(err)
	}
	offered, err = src.Check(t.Context(), s.query)
	if err != nil || len(offered) != 1 || offered[0].Halted != nil || offered[0].Yanked != nil {
		t.Fatalf("resumed: %+v, %v", offered, err)
	}
}
