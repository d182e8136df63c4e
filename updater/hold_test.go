package updater

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// A hold outlives the process, an upgrade by force and a rollback; it stops a person as well.
func TestHoldLasts(t *testing.T) {
	b := newBench(t, nil)
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	if _, err := b.Upgrade(t.Context(), Request{}); err != nil {
		t.Fatal(err)
	}
	before := b.installed()
	if err := b.Hold(Hold{Reason: "the fair\x1b[2J", By: "ann"}); err != nil { // without the lock
		t.Fatal(err)
	}
	b.open(func(o *Options) { o.Version = "9.9.2-good" }) // a cold start
	b.lock()
	c := b.source.offer("9.9.3-good", candidate(t, "9.9.3-good"))
	for _, r := range []Request{{}, {Manual: true}, {Manual: true, Version: "9.9.3-good"}} {
		_, err := b.Upgrade(t.Context(), r)
		wantError(t, err, Policy, "held")
		if !strings.Contains(err.Error(), "by ann: the fair") || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("it says %q", err)
		}
	}
	if s := b.status(); s.Hold == nil || s.Hold.By != "ann" || s.CheckReason != "held" || b.installed() != before {
		t.Errorf("status %+v", s)
	}
	if _, err := b.Upgrade(t.Context(), Request{Manual: true, Force: true}); err != nil {
		t.Fatal(err)
	}
	if s := b.status(); s.Installed != c.Digest || s.Hold == nil {
		t.Errorf("after force: status %+v", s)
	}
	if _, err := b.Rollback(t.Context(), Request{Manual: true}); err != nil {
		t.Fatal(err)
	}
	b.Unlock()
	b.open(func(o *Options) { o.Version = "9.9.2-good" })
	if s := b.status(); s.Hold == nil || b.installed() != before {
		t.Errorf("after the rollback: status %+v", s)
	}
	for range 2 { // the second lifts nothing, and that is well
		if err := b.Unhold(); err != nil || b.status().Hold != nil {
			t.Fatalf("unhold: %v, %+v", err, b.status().Hold)
		}
	}
}

func TestHoldEnds(t *testing.T) {
	b := newBench(t, nil)
	b.lock()
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	now := time.Now()
	wantError(t, b.Hold(Hold{Until: now.Add(-time.Second)}), Usage, "bad-hold")
	if err := b.Hold(Hold{Until: now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	f, err := b.Check(t.Context(), Request{})
	if err != nil || f.Stop == nil || f.Stop.Reason != "held" || !f.Again.Equal(now.Add(time.Hour)) {
		t.Fatalf("found %+v, %v", f, err)
	}
	b.now = func() time.Time { return now.Add(time.Hour) }
	if f, err := b.Check(t.Context(), Request{}); err != nil || f.Stop != nil || b.status().Hold != nil {
		t.Errorf("an hour later: %+v, %v", f, err)
	}
	// A new one does not count from the time of the one that is over.
	if err := b.Hold(Hold{}); err != nil || !b.status().Hold.Since.Equal(b.now()) {
		t.Errorf("since %v, %v", b.status().Hold, err)
	}
}

// Holding what is held changes what is said of it, and not since when.
func TestHoldTwice(t *testing.T) {
	b := newBench(t, nil)
	b.lock()
	first := time.Now()
	for i, reason := range []string{"one", "one", "two"} {
		b.now = func() time.Time { return first.Add(time.Duration(i) * time.Minute) }
		if err := b.Hold(Hold{Reason: reason}); err != nil {
			t.Fatal(err)
		}
		if h := b.status().Hold; !h.Since.Equal(first) || h.Reason != reason {
			t.Errorf("hold %d: %+v", i, h)
		}
	}
}

// The one who holds the lock is the one to ask; what cannot be written is not so in memory either.
func TestHoldRefused(t *testing.T) {
	b := newBench(t, nil)
	b.lock()
	first := b.Updater
	b.open(nil)
	if err := b.Hold(Hold{}); !errors.Is(err, ErrBusy) {
		t.Errorf("another process holds the lock: %v", err)
	}
	if err := os.RemoveAll(b.dir); err != nil {
		t.Fatal(err)
	}
	if err := first.Hold(Hold{}); err == nil || first.state.Hold != nil {
		t.Errorf("no directory to write to: %v, %+v", err, first.state.Hold)
	}
}

// A hold may be set while an update is under way: that one ends, the next does not begin.
func TestHoldDuringAnUpgrade(t *testing.T) {
	b := newBench(t, nil)
	b.open(func(o *Options) {
		o.Handover = handoverFunc(func(_ context.Context, _ string, commit func() error) error {
			if err := b.Hold(Hold{Reason: "enough"}); err != nil {
				t.Error(err)
			}
			return commit()
		})
	})
	b.lock()
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	if out, err := b.Upgrade(t.Context(), Request{}); err != nil || !out.Changed {
		t.Fatalf("%+v, %v", out, err)
	}
	if h := b.status().Hold; h == nil || h.Reason != "enough" {
		t.Errorf("hold %+v", h)
	}
}

func TestDisabled(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Disabled = "apt upgrade hello" })
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	for _, r := range []Request{{}, {Manual: true, Force: true, Version: "9.9.2-good"}} {
		_, err := b.Upgrade(t.Context(), r)
		wantError(t, err, Policy, "disabled")
		var a interface{ Hint() string }
		if !errors.As(err, &a) || a.Hint() != "apt upgrade hello" {
			t.Errorf("%v names nothing to do instead", err)
		}
	}
	if s := b.status(); s.Automatic || s.Reason != "disabled" || s.Disabled != "apt upgrade hello" || b.source.checked != 0 {
		t.Errorf("status %+v, %d checks", s, b.source.checked)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("the loop: %v", err)
	}
	// Where a package manager has put it there is no place for state, and no need.
	_, err := New(Options{Name: "hello", Version: "1.0.0", InstallPath: b.path, StateDir: "/proc/none", Disabled: "apt upgrade hello"})
	wantError(t, err, Policy, "disabled")
}

func TestOptionsOfPolicy(t *testing.T) {
	for _, change := range []func(*Options){
		func(o *Options) { o.Constraint = "^1.2" },
		func(o *Options) { o.Windows = []Window{{Start: 2 * time.Hour}} },
	} {
		o := Options{Name: "hello", Version: "1.0.0"}
		change(&o)
		_, err := New(o)
		wantError(t, err, Usage, "bad-options")
	}
}

// The loop looks again when the window opens, and takes the update then.
func TestRunWaitsForTheWindow(t *testing.T) {
	now := time.Now()
	opens := now.UTC().Truncate(time.Minute).Add(2 * time.Hour)
	w := Window{Start: time.Duration(opens.Hour()*60+opens.Minute()) * time.Minute, Length: time.Hour}
	b := newBench(t, func(o *Options) { o.Windows, o.Interval = []Window{w}, 6*time.Hour })
	b.lock()
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	b.now = func() time.Time { return now }
	l := newLoop(b.Updater)
	if l.once(t.Context()) || b.status().CheckReason != "window" {
		t.Fatalf("status %+v", b.status())
	}
	if o := b.status().Window; o == nil || o.Open || !o.At.Equal(opens) {
		t.Errorf("window %+v, want it to open at %v", o, opens)
	}
	for range 100 {
		if wait := l.wait(); wait < opens.Sub(now) || wait > opens.Sub(now)+30*time.Minute {
			t.Fatalf("looks again after %v, and the window opens after %v", wait, opens.Sub(now))
		}
	}
	b.now = func() time.Time { return opens }
	l.once(t.Context())
	if s := b.status(); s.Last == nil || s.Last.Outcome != "committed" || s.Window == nil || !s.Window.Open {
		t.Errorf("in the window: status %+v", s)
	}
}
