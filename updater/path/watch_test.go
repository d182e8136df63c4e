package path_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/updater"
	"github.com/moult-go/moult/updater/path"
)

// watched is what a loop that checks whenever it is woken sees.
type watched struct {
	t *testing.T
	d *drop

	mu     sync.Mutex
	offers []updater.Candidate
	alarms []error
	waits  int // checks that said "still-changing"
}

// watch lets events alone wake it, with a poll only every hour, until the test ends.
func (d *drop) watch() *watched {
	path.Hurry(d.Source, time.Hour, 100*time.Millisecond, time.Minute)
	return d.look()
}

func (d *drop) look() *watched {
	ctx, cancel := context.WithCancel(context.Background())
	w, woken := &watched{t: d.t, d: d}, make(chan struct{}, 1)
	q := query
	q.Logger = slog.New(slog.DiscardHandler)
	var wg sync.WaitGroup
	wg.Go(func() {
		d.Source.(interface {
			Watch(context.Context, updater.Query, func())
		}).Watch(ctx, q, func() {
			select {
			case woken <- struct{}{}:
			default:
			}
		})
	})
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-woken:
				w.note(d.Check(ctx, q))
			}
		}
	})
	d.t.Cleanup(func() { cancel(); wg.Wait() })
	return w
}

func (w *watched) note(offered []updater.Candidate, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var e *updater.Error
	switch {
	case errors.As(err, &e) && e.Reason == "still-changing":
		w.waits++
	case err != nil && !errors.Is(err, context.Canceled):
		w.alarms = append(w.alarms, err)
	case err == nil:
		w.offers = append(w.offers, offered...)
		if len(offered) == 0 {
			w.offers = append(w.offers, updater.Candidate{}) // nothing is there
		}
	}
}

// wantLast waits until the last check has offered version, "" for nothing, and returns how often anything was.
func (w *watched) wantLast(version string) (n int) {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) { // between two looks
		w.mu.Lock()
		n = len(w.offers)
		ok := n > 0 && (version == "" && w.offers[n-1].Digest.IsZero() || w.offers[n-1].Version.String() == version)
		alarms, waits, offers := slices.Clone(w.alarms), w.waits, len(w.offers)
		w.mu.Unlock()
		switch {
		case len(alarms) > 0:
			w.t.Fatalf("an alarm: %v", alarms)
		case ok:
			return n
		case time.Now().After(end):
			w.t.Fatalf("%q was not offered: %d checks, %d while it was changing", version, offers+waits, waits)
		}
	}
}

// release is a signed build that lies outside the watched directory.
func (d *drop) release(version string, b []byte) (file string) {
	d.t.Helper()
	file = filepath.Join(d.t.TempDir(), "hello")
	for name, b := range map[string][]byte{file: b, file + ".minisig": d.signature(comment("hello", version, release.Host(), b), b)} {
		if err := os.WriteFile(name, b, 0o755); err != nil {
			d.t.Fatal(err)
		}
	}
	return file
}

// move puts a release into the watched directory, the signature last.
func (d *drop) move(from string) {
	d.t.Helper()
	if err := errors.Join(os.Rename(from, d.file), os.Rename(from+".minisig", d.file+".minisig")); err != nil {
		d.t.Fatal(err)
	}
}

// TestWakesLongBeforeThePoll: within a fraction of a second where the next look would come in an hour.
func TestWakesLongBeforeThePoll(t *testing.T) {
	d := newDrop(t)
	w := d.watch()
	w.wantLast("1.2.3")
	from := d.release("1.2.4", bytes.ToUpper(payload))
	begun := time.Now()
	d.move(from)
	w.wantLast("1.2.4")
	t.Logf("checked %v after mv", time.Since(begun).Round(time.Millisecond))
}

// TestWaitsForThePath: nothing of it is there, then more and more, then it goes and comes again.
func TestWaitsForThePath(t *testing.T) {
	d := newDrop(t)
	top := filepath.Join(t.TempDir(), "top")
	d.file = filepath.Join(top, "sub", "drop", "hello")
	d.Source = path.New(d.file, d.pub)
	w := d.watch()
	w.wantLast("")
	make := func() {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(d.file), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	make()
	d.move(d.release("1.0.1", []byte("one")))
	w.wantLast("1.0.1")
	os.RemoveAll(filepath.Dir(d.file))
	w.wantLast("")
	make()
	d.move(d.release("1.0.2", []byte("two")))
	w.wantLast("1.0.2")
	for _, moved := range []string{filepath.Dir(d.file), top} { // the directory itself, and one far above it
		if err := os.Rename(moved, moved+".away"); err != nil {
			t.Fatal(err)
		}
		w.wantLast("")
		make()
		d.move(d.release("1.0.3", []byte("three")))
		w.wantLast("1.0.3")
	}
}

// TestLostEventsLeadToALook.
func TestLostEventsLeadToALook(t *testing.T) {
	d := newDrop(t)
	lost := make(chan error)
	path.LoseEvents(d.Source, lost)
	w := d.watch()
	w.wantLast("1.2.3")
	d.move(d.release("1.2.4", bytes.ToUpper(payload)))
	lost <- fsnotify.ErrEventOverflow
	w.wantLast("1.2.4")
}

// TestAsksAgainWhenTheyShouldFit: what did not fit, and was no alarm at first, becomes one without another event.
func TestAsksAgainWhenTheyShouldFit(t *testing.T) {
	d := newDrop(t)
	d.write(bytes.ToUpper(payload))
	path.Hurry(d.Source, time.Hour, time.Millisecond, 200*time.Millisecond)
	w := d.look()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) { // between two looks
		w.mu.Lock()
		alarms, waits := slices.Clone(w.alarms), w.waits
		w.mu.Unlock()
		if len(alarms) > 0 {
			wantError(t, alarms[0], updater.Verification, "digest-mismatch")
			if waits == 0 {
				t.Error("it was an alarm at once")
			}
			return
		}
		if time.Now().After(end) {
			t.Fatal("no alarm")
		}
	}
}

// TestChain: every name whose change may change what the file is.
func TestChain(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.MkdirAll(in("v1/bin"), 0o755), os.WriteFile(in("v1/bin/hello"), nil, 0o755), os.MkdirAll(in("elsewhere/deep"), 0o755),
		os.Symlink("v1", in("current")), os.Symlink(in("current/bin/hello"), in("elsewhere/deep/link")),
		os.Symlink("../current/./bin/hello", in("elsewhere/up")), os.Symlink("loop", in("loop")), os.Symlink("gone/x", in("dangling"))); err != nil {
		t.Skip(err)
	}
	for file, want := range map[string][]string{
		"v1/bin/hello":        {"v1", "v1/bin", "v1/bin/hello"},
		"current/bin/hello":   {"current", "v1", "v1/bin", "v1/bin/hello"},
		"elsewhere/deep/link": {"elsewhere", "elsewhere/deep", "elsewhere/deep/link", "current", "v1", "v1/bin", "v1/bin/hello"},
		"elsewhere/up":        {"elsewhere", "elsewhere/up", "current", "v1", "v1/bin", "v1/bin/hello"},
		"v1/none/hello":       {"v1", "v1/none"},
		"dangling":            {"dangling", "gone"},
	} {
		got := path.Chain(in(file))
		got = slices.DeleteFunc(got, func(n string) bool { return len(n) <= len(dir) }) // of the directory itself
		for i := range want {
			want[i] = in(want[i])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", file, got, want)
		}
	}
	if n := len(path.Chain(in("loop"))); n > 100 {
		t.Errorf("a loop: %d names", n)
	}
}
