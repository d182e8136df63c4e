package updater

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
)

// resumingSource hands its payload out as package release/transfer does: it goes on where dst stops, if dst has the
// name of the version that it has.
type resumingSource struct {
	*fakeSource
	tag   string
	cuts  []int // after how many bytes each try breaks off; then none does
	err   error // with which
	sent  int
	begun []int64
}

// sink is what a Source may find in dst: release/transfer's interface, which this package does not import.
type sink interface {
	io.Writer
	Have() (int64, string)
	Begin(int64, string) error
	Sum() release.Digest
}

func (s *resumingSource) Fetch(_ context.Context, _ Query, p release.Payload, dst io.Writer) error {
	to := dst.(sink)
	n, tag := to.Have()
	if tag != s.tag {
		n = 0
	}
	if n == p.Length && to.Sum() == p.SHA256 {
		return nil
	}
	s.begun = append(s.begun, n)
	if err := to.Begin(n, s.tag); err != nil {
		return err
	}
	rest := s.payload[p.SHA256][n:]
	var broken error
	if len(s.cuts) > 0 {
		rest, broken = rest[:min(len(rest), s.cuts[0])], s.err
		s.cuts = s.cuts[1:]
	}
	s.sent += len(rest)
	if _, err := to.Write(rest); err != nil {
		return err
	}
	return broken
}

func newResuming(t *testing.T, cuts ...int) (*bench, *resumingSource, []byte) {
	t.Helper()
	src := &resumingSource{fakeSource: &fakeSource{}, tag: `"v1" host`, cuts: cuts, err: errors.New("connection reset")}
	b := newBench(t, func(o *Options) { o.Source = src })
	payload := candidate(t, "9.9.2-good")
	src.offer("9.9.2-good", payload)
	return b, src, payload
}

// A download that breaks off is gone on with at once, and after longer and longer waits; what is there is not fetched again.
func TestBrokenDownloadIsResumed(t *testing.T) {
	b, src, payload := newResuming(t, 1000, 0, 2000, 500)
	var waits []time.Duration
	b.pause = func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }
	var done []int64
	r := Request{Events: func(e Event) {
		if e.Phase == PhaseFetch {
			done = append(done, e.Done)
		}
	}}
	if _, err := b.Upgrade(t.Context(), r); err != nil || b.installed() != string(payload) {
		t.Fatalf("upgrade: %v", err)
	}
	if src.sent != len(payload) || fmt.Sprint(src.begun) != "[0 1000 1000 3000 3500]" {
		t.Errorf("sent %d bytes for %d, begun at %d", src.sent, len(payload), src.begun)
	}
	for i, w := range waits {
		if most := firstWait << i * 3 / 2; w < most/3 || w > most {
			t.Errorf("wait %d: %v, want up to %v", i, w, most)
		}
	}
	if len(waits) != mostTries-1 || fmt.Sprint(done[:6]) != "[0 0 1000 1000 3000 3500]" || done[len(done)-1] != int64(len(payload)) {
		t.Errorf("%d waits, progress %v", len(waits), done)
	}
	b.wantTidy()
}

// What does not come in a few tries is left for the next attempt, of this process or another, for a week.
func TestPartIsKeptForTheNextAttempt(t *testing.T) {
	b, src, payload := newResuming(t, 1000, 1, 1, 1, 1)
	_, err := b.Upgrade(t.Context(), Request{})
	wantError(t, err, Temporary, "network")
	b.open(func(o *Options) { o.Source = src })
	b.lock() // sweeps
	now := time.Now()
	b.now = func() time.Time { return now.Add(partLife / 2) }
	if _, err := b.Upgrade(t.Context(), Request{Manual: true}); err != nil || src.sent != len(payload) {
		t.Fatalf("upgrade: %v, %d bytes sent for %d", err, src.sent, len(payload))
	}
	b.wantTidy()
}

// Nothing is kept that cannot be gone on with, and nothing for ever.
func TestPartsAreSwept(t *testing.T) {
	keep := func(name string, change func(b *bench, src *resumingSource), want bool) {
		t.Run(name, func(t *testing.T) {
			b, src, _ := newResuming(t, 1000, 0, 0, 0, 0)
			now := time.Now()
			b.now = func() time.Time { return now }
			change(b, src)
			b.Upgrade(t.Context(), Request{})
			now = now.Add(partLife - time.Hour)
			if name == "old" {
				now = now.Add(2 * time.Hour)
			}
			b.lock()
			left, _ := os.ReadDir(filepath.Join(b.dir, "download"))
			if (len(left) == 2) != want || !want && len(left) != 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
	none := func(*bench, *resumingSource) {}
	keep("young", none, true)
	keep("old", none, false)
	keep("without a name", func(_ *bench, s *resumingSource) { s.tag = "" }, false)
	keep("with a name that is too long", func(_ *bench, s *resumingSource) { s.tag = strings.Repeat("x", maxValidator+1) }, false)
	keep("one of two", func(b *bench, _ *resumingSource) {
		for _, ext := range []string{".part", ".from"} {
			if err := os.WriteFile(filepath.Join(b.dir, "download", "0123456789ab"+ext), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}, true)
}

// A server that says when to come back is not asked before.
func TestRetryAfterIsNotTriedBefore(t *testing.T) {
	b, src, _ := newResuming(t, 1000)
	src.err = fmt.Errorf("get: %w", waits(time.Minute))
	_, err := b.Upgrade(t.Context(), Request{})
	wantError(t, err, Temporary, "network")
	if len(src.begun) != 1 || retryAfter(err) != time.Minute {
		t.Errorf("asked %d times, %v", len(src.begun), retryAfter(err))
	}
}

// A download may meet a busy server as well.
func TestLoopLeavesABusyServerOfPayloadsAlone(t *testing.T) {
	b, src, _ := newResuming(t, 1000)
	b.lock()
	src.err = waits(time.Hour)
	l := newLoop(b.Updater)
	l.once(t.Context())
	if w := l.wait(); w < time.Hour-time.Second || w > 75*time.Minute {
		t.Errorf("waits %v", w)
	}
}

// Whatever lies in the place of a part does no harm: it is not followed, not written to, not believed.
func TestPlantedParts(t *testing.T) {
	for name, plant := range map[string]func(part, from, victim string, payload []byte) error{
		"a link": func(part, from, victim string, _ []byte) error {
			return errors.Join(os.Symlink(victim, part), os.WriteFile(from, []byte(`"v1" host`), 0o600))
		},
		"a second name": func(part, from, victim string, _ []byte) error {
			return errors.Join(os.Link(victim, part), os.WriteFile(from, []byte(`"v1" host`), 0o600))
		},
		"a directory": func(part, from, _ string, _ []byte) error {
			return errors.Join(os.MkdirAll(filepath.Join(part, "x"), 0o700), os.Mkdir(from, 0o700))
		},
		"a link for its name": func(part, from, victim string, p []byte) error {
			return errors.Join(os.WriteFile(part, p[:100], 0o600), os.Symlink(victim, from))
		},
		"wrong bytes": func(part, from, _ string, p []byte) error {
			return errors.Join(os.WriteFile(part, bytes.ToUpper(p[:5000]), 0o600), os.WriteFile(from, []byte(`"other" host`), 0o600))
		},
		"more than there can be": func(part, from, _ string, p []byte) error {
			return errors.Join(os.WriteFile(part, append(bytes.Clone(p), 'x'), 0o600), os.WriteFile(from, []byte(`"v1" host`), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, src, payload := newResuming(t)
			victim := filepath.Join(t.TempDir(), "victim")
			if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			part := filepath.Join(b.dir, partName(src.offers[0].Digest))
			b.lock() // sweeps before it is planted
			if err := plant(part, strings.TrimSuffix(part, ".part")+".from", victim, payload); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Upgrade(t.Context(), Request{}); err != nil || b.installed() != string(payload) {
				t.Fatalf("upgrade: %v", err)
			}
			if got, err := os.ReadFile(victim); err != nil || string(got) != "precious" {
				t.Errorf("the victim: %q, %v", got, err)
			}
			if src.sent != len(payload) {
				t.Errorf("%d bytes sent for %d", src.sent, len(payload))
			}
			b.wantTidy()
		})
	}
}
