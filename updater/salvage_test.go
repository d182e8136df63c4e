package updater

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
)

// TestLostState: without its file, an installation still knows the way back, and what it must not go below.
func TestLostState(t *testing.T) {
	for _, doc := range []string{"", "{", "\x00\x00\x00", `{"schema":0}`, "none"} {
		b := upgraded(t, nil)
		b.Unlock()
		if doc == "none" {
			os.Remove(b.statePath())
		} else if err := os.WriteFile(b.statePath(), []byte(doc), 0o600); err != nil {
			t.Fatal(err)
		}
		b.open(func(o *Options) { o.Version = "9.9.3-good" })
		if s := b.status(); len(s.Kept) != 2 {
			t.Errorf("%q: before the lock: kept %v", doc, s.Kept)
		}
		b.lock()
		if got := b.state.Floor.String(); got != "9.9.3-good" {
			t.Errorf("%q: floor %q", doc, got)
		}
		out, err := b.Rollback(t.Context(), Request{Manual: true})
		if err != nil || out.To != "9.9.2-good" {
			t.Errorf("%q: rollback to %q, %v", doc, out.To, err)
		}
	}
}

// TestFutureState: what a later version wrote, in a phase that this one does not know, costs nothing that protects the host.
func TestFutureState(t *testing.T) {
	b := newBench(t, nil)
	d := release.Digest{1, 2, 3}
	doc := `{"schema": 9, "phase": "levitating", "attempt": 7, "floor": "3.0.0", "failures": "many", "hold": {"by": "x"},
		"quarantine": [{"digest": "` + d.String() + `", "version": "2.9.0", "reason": "crashed", "since": "2026-01-02T03:04:05Z"}]}`
	if err := os.WriteFile(b.statePath(), []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
	b.lock()
	if b.state.Floor.String() != "3.0.0" || b.state.quarantined(d) == nil {
		t.Errorf("floor %s, quarantine %v", b.state.Floor, b.state.Quarantine)
	}
	got, err := os.ReadFile(b.statePath())
	if err != nil || !strings.Contains(string(got), `"hold"`) || !strings.Contains(string(got), d.String()) {
		t.Errorf("written: %s, %v", got, err)
	}
}

// TestClockJumps: a clock that goes back or ahead does not keep an update away for longer than a wait lasts.
func TestClockJumps(t *testing.T) {
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	b := newBench(t, nil)
	open := func() {
		b.open(func(o *Options) {
			o.Interval = time.Minute
			o.Handover = handoverFunc(func(context.Context, string, func() error) error { return &undone{verdict: true} })
		})
		b.Updater.now = func() time.Time { return now }
	}
	open()
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	if _, err := b.Upgrade(t.Context(), Request{}); err == nil {
		t.Fatal("no failure")
	}
	for _, jump := range []time.Duration{-365 * 24 * time.Hour, 2 * 365 * 24 * time.Hour, -2 * 365 * 24 * time.Hour} {
		now = now.Add(jump)
		open()
		if f, err := b.Check(t.Context(), Request{}); err != nil || !f.Available {
			t.Errorf("after a jump of %v: %v, %v", jump, f.Stop, err)
		}
	}
	if h, err := b.History(); err != nil || len(h) != 1 {
		t.Errorf("history %v, %v", h, err)
	}
}

func TestHistoryAfterHalfALine(t *testing.T) {
	b := newBench(t, nil)
	if err := os.WriteFile(b.historyPath(), []byte(`{"id":"1","to":"1.1.0"}`+"\n"+`{"id":"2","ou`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.appendHistory(Attempt{ID: "3"}); err != nil {
		t.Fatal(err)
	}
	if h, err := b.History(); err != nil || len(h) != 2 || h[1].ID != "3" {
		t.Errorf("history %+v, %v", h, err)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	b := newBench(t, nil)
	words := strings.Repeat("x", 2<<10)
	for n := range 1200 {
		if err := b.appendHistory(Attempt{ID: string(rune('a' + n%26)), Words: words}); err != nil {
			t.Fatal(err)
		}
	}
	fi, err := os.Stat(b.historyPath())
	if err != nil || fi.Size() > maxHistory+4<<10 {
		t.Errorf("%d bytes, %v", fi.Size(), err)
	}
	if h, err := b.History(); err != nil || len(h) < 200 || h[len(h)-1].ID != string(rune('a'+1199%26)) {
		t.Errorf("%d attempts, %v", len(h), err)
	}
}

// FuzzHistory: whatever is left of the file, an attempt that is added is the last one that is read, and none is read twice in a row.
func FuzzHistory(f *testing.F) {
	f.Add([]byte(`{"id":"1","to":"1.1.0"}` + "\n" + `{"id":"2","outcome":"failed"}` + "\n" + `{"id":"2"}` + "\n" + `{"id":"3","ou`))
	f.Add([]byte("null\n\n[]"))
	f.Add([]byte{0})
	dir := f.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { root.Close() })
	u := &Updater{dir: dir, root: root}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, historyFile), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := u.appendHistory(Attempt{ID: "last", To: "9.9.9"}); err != nil {
			t.Fatal(err)
		}
		all, err := u.History()
		if err != nil || len(all) == 0 || all[len(all)-1].ID != "last" || all[len(all)-1].To != "9.9.9" {
			t.Fatalf("%+v, %v", all, err)
		}
		for i, a := range all {
			if a.ID == "" || i > 0 && a.ID == all[i-1].ID {
				t.Errorf("attempt %d: %q", i, a.ID)
			}
		}
	})
}
