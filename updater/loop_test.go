package updater

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestRunUpgradesAndReturns(t *testing.T) {
	b := newBench(t, func(o *Options) {
		o.Handover = handoverFunc(func(_ context.Context, _ string, commit func() error) error { return commit() })
	})
	b.lock()
	done := make(chan error)
	go func() { done <- b.Run(t.Context()) }()
	wantEventually(t, func() bool { b.source.mu.Lock(); defer b.source.mu.Unlock(); return b.source.checked > 2 })
	payload := candidate(t, "9.9.2-good")
	b.source.offer("9.9.2-good", payload)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if b.installed() != string(payload) {
		t.Error("not installed")
	}
}

func wantEventually(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			t.Fatal("it did not come to that in 30 s")
		case <-time.After(time.Millisecond):
		}
	}
}

// lockedBuffer may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), s)
}

func TestRunGivesABuildUpAfterThreeFailures(t *testing.T) {
	log := &lockedBuffer{}
	starts := 0
	b := newBench(t, func(o *Options) {
		o.Logger = slog.New(slog.NewTextHandler(log, nil))
		o.Handover = handoverFunc(func(context.Context, string, func() error) error {
			starts++
			return &undone{verdict: true}
		})
	})
	b.lock()
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- b.Run(ctx) }()
	wantEventually(t, func() bool { return log.count("reason=quarantined") == 1 })
	checked := func() int { b.source.mu.Lock(); defer b.source.mu.Unlock(); return b.source.checked }
	seen := checked()
	wantEventually(t, func() bool { return checked() > seen+5 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("run: %v", err)
	}
	if starts != mostFailures || b.source.fetched != mostFailures {
		t.Errorf("started %d times, fetched %d times", starts, b.source.fetched)
	}
	if n := log.count("reason=quarantined"); n != 1 {
		t.Errorf("said %d times that it is in quarantine", n)
	}
}

func TestRunDoesNothingForAVersionThatDoesNotParse(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Version = "dev" })
	b.lock()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("run: %v", err)
	}
	if s := b.status(); b.source.checked != 0 || s.Automatic || s.Reason != "version-unparsable" {
		t.Errorf("%d checks, status %+v", b.source.checked, s)
	}
	payload := candidate(t, "9.9.2-good")
	b.source.offer("9.9.2-good", payload)
	if _, err := b.Upgrade(t.Context(), Request{Manual: true, Version: "9.9.2-good"}); err != nil || b.installed() != string(payload) {
		t.Errorf("by hand: %v", err)
	}
}

func TestCheckErrorIsSaidOnce(t *testing.T) {
	log := &lockedBuffer{}
	b := newBench(t, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(log, nil)) })
	b.lock()
	b.source.err = errors.New("connection refused")
	l := &loop{u: b.Updater}
	for range 5 {
		l.once(t.Context())
	}
	if n := log.count("connection refused"); n != 1 {
		t.Errorf("said %d times", n)
	}
	if s := b.status(); !strings.Contains(s.CheckError, "connection refused") || s.LastCheck.IsZero() {
		t.Errorf("status %+v", s)
	}
	_, err := b.Upgrade(t.Context(), Request{Manual: true})
	wantError(t, err, Temporary, "network")
	b.source.err = nil
	_, err = b.Upgrade(t.Context(), Request{Manual: true})
	wantError(t, err, Temporary, "missing")
	b.open(func(o *Options) { o.Source = nil })
	_, err = b.Check(t.Context(), Request{})
	wantError(t, err, Usage, "no-source")
}

func TestJitter(t *testing.T) {
	for range 1000 {
		if d := jitter(time.Second); d < 900*time.Millisecond || d > 1100*time.Millisecond {
			t.Fatalf("jitter %v", d)
		}
	}
}
