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

	"github.com/moult-go/moult/release"
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

// wakingSource tells when to look; the next check by itself would come in a hundred hours.
type wakingSource struct {
	*fakeSource
	wake chan func()
	gone chan struct{}
}

func (s wakingSource) Interval() time.Duration { return 100 * time.Hour }

func (s wakingSource) Watch(ctx context.Context, q Query, wake func()) {
	s.wake <- wake
	<-ctx.Done()
	close(s.gone)
}

func TestRunIsWokenByItsSource(t *testing.T) {
	var s wakingSource
	b := newBench(t, func(o *Options) {
		s = wakingSource{o.Source.(*fakeSource), make(chan func()), make(chan struct{})}
		o.Source = s
		o.Handover = handoverFunc(func(_ context.Context, _ string, commit func() error) error { return commit() })
	})
	b.lock()
	done := make(chan error)
	go func() { done <- b.Run(t.Context()) }()
	wake := <-s.wake
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	for range 10 { // more often than anybody listens
		wake()
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if b.installed() != string(candidate(t, "9.9.2-good")) {
		t.Error("not installed")
	}
	<-s.gone
}

// TestRunOnlyWhenAsked: a negative interval leaves it to people, and status says so.
func TestRunOnlyWhenAsked(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Interval = -1 })
	b.lock()
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("run: %v", err)
	}
	if s := b.status(); b.source.checked != 0 || s.Automatic || s.Reason != "only when asked" {
		t.Errorf("%d checks, status %+v", b.source.checked, s)
	}
	if _, err := b.Upgrade(t.Context(), Request{Manual: true}); err != nil {
		t.Errorf("by hand: %v", err)
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
	l := newLoop(b.Updater)
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

// TestLoopLooksAgainAtItsTurn: a host that waits for its share of a rollout looks when it comes, and not an interval later.
func TestLoopLooksAgainAtItsTurn(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Interval = 100 * time.Hour })
	b.lock()
	now := time.Now()
	b.now = func() time.Time { return now }
	c := b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	c.Rollout = &release.Rollout{Salt: "salt", Start: now.Add(time.Hour), Curve: []release.Point{{Seconds: 0, Share: 1}}}
	b.source.offers = []Candidate{c}
	l := newLoop(b.Updater)
	if l.once(t.Context()) {
		t.Fatal("taken before its turn")
	}
	if w := l.wait(); w < time.Hour || w > 11*time.Hour {
		t.Errorf("looks again after %v", w)
	}
	if s := b.status(); s.CheckReason != "rollout" || s.Rollout == nil || !s.Rollout.At.Equal(now.Add(time.Hour).Truncate(0)) {
		t.Errorf("status %s, turn %+v", s.CheckReason, s.Rollout)
	}
	now = now.Add(time.Hour)
	l.once(t.Context())
	if s := b.status(); s.Last == nil || s.Last.Outcome != outcomeCommitted || s.Rollout != nil || s.CheckReason != "" {
		t.Errorf("at its turn: %+v", s)
	}
	if w := l.wait(); w < 90*time.Hour {
		t.Errorf("checks again after %v", w)
	}
}

// TestLoopComesBackSoonAfterAnError: and not at the same moment as the others.
func TestLoopComesBackSoonAfterAnError(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Interval = 100 * time.Hour })
	b.lock()
	b.source.err = errors.New("connection refused")
	l := newLoop(b.Updater)
	for _, most := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
		l.once(t.Context())
		if w := l.wait(); w > most {
			t.Errorf("waits %v, want at most %v", w, most)
		}
	}
	b.source.err = nil
	l.once(t.Context())
	if w := l.wait(); w < 90*time.Hour {
		t.Errorf("waits %v after an answer", w)
	}
}

// TestLoopLeavesABusyServerAlone: what a server asks for is the earliest moment of the next check, whatever else is due, and no two
// hosts come back together.
func TestLoopLeavesABusyServerAlone(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Interval = time.Hour })
	b.lock()
	now := time.Now()
	b.now = func() time.Time { return now }
	seen := map[time.Duration]bool{}
	for _, d := range []time.Duration{time.Second, 2 * time.Hour, 1000 * time.Hour} {
		b.source.err = fail(Temporary, "network", "check: %w", errors.Join(errors.New("one mirror"), waits(0), waits(d)))
		l := newLoop(b.Updater)
		l.once(t.Context())
		least := min(d, maxRetryAfter)
		for range 20 {
			w := l.wait()
			if w < least || w > least+max(least/4, firstRetry) {
				t.Errorf("Retry-After %v: waits %v", d, w)
			}
			seen[w] = true
		}
	}
	if len(seen) < 50 {
		t.Errorf("%d of 60 waits differ", len(seen))
	}
	b.source.err = nil
	l := newLoop(b.Updater)
	l.once(t.Context())
	if w := l.wait(); w < 54*time.Minute {
		t.Errorf("waits %v after an answer", w)
	}
}

// waits is an error of a server that says when to come back.
type waits time.Duration

func (w waits) Error() string             { return "busy" }
func (w waits) RetryAfter() time.Duration { return time.Duration(w) }

// TestYankedVersionRuns: status and log tell of it at each change, nothing is done about it.
func TestYankedVersionRuns(t *testing.T) {
	log := &lockedBuffer{}
	b := newBench(t, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(log, nil)) })
	b.lock()
	c := b.source.offer("1.0.0", []byte(oldBytes))
	l := newLoop(b.Updater)
	offer := func(s *release.Stop) {
		c.Yanked = s
		other := offered("0.9.0", release.Host().String(), 1)
		other.Yanked = &release.Stop{Reason: "another version"}
		b.source.offers = []Candidate{c, other}
		l.once(t.Context())
		l.once(t.Context())
	}
	const yanked, back = "runs was yanked", "no longer yanked"
	for i, step := range []struct {
		stop         *release.Stop
		yanked, back int
	}{
		{nil, 0, 0},
		{&release.Stop{Reason: "loses data"}, 1, 0},
		{&release.Stop{Reason: "loses much data"}, 2, 0},
		{nil, 2, 1},
	} {
		offer(step.stop)
		if y, n := log.count(yanked), log.count(back); y != step.yanked || n != step.back {
			t.Errorf("step %d: said %d and %d times", i, y, n)
		}
		if s := b.status(); (s.Yanked == nil) != (step.stop == nil) || s.CheckError != "" || s.Last != nil {
			t.Errorf("step %d: status %+v", i, s)
		}
	}
}
