package updater

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/moult-go/moult/release"
)

// defaultInterval is that of a Source that names none.
const defaultInterval = 6 * time.Hour

func (u *Updater) interval() time.Duration {
	if u.o.Interval > 0 {
		return u.o.Interval
	}
	if s, ok := u.o.Source.(interface{ Interval() time.Duration }); ok && s.Interval() > 0 {
		return s.Interval()
	}
	return defaultInterval
}

// Run checks and upgrades until ctx ends, whose error it then returns, or an upgrade has replaced this process,
// then nil. The first check comes at a random moment of the first interval, or when the Source wakes it. Where nothing may happen
// by itself (no source, a version that does not parse, a negative interval) it only waits for ctx.
func (u *Updater) Run(ctx context.Context) error {
	if why := u.manualOnly(); why != "" {
		u.log.Warn("automatic updating is off", "reason", why, "version", u.o.Version)
		<-ctx.Done()
		return ctx.Err()
	}
	woken, end := u.watch(ctx)
	defer end()
	u.findPackage(ctx) // for the status
	l := newLoop(u)
	for wait := l.First(l.rng); ; {
		u.mu.Lock()
		u.nextCheck = u.now().Add(wait)
		u.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-woken:
		case <-time.After(wait):
		}
		if l.once(ctx) {
			return nil
		}
		wait = l.wait()
	}
}

// watch lets the Source bring the next check forward, if it can. end returns when it has stopped.
func (u *Updater) watch(ctx context.Context) (woken <-chan struct{}, end func()) {
	s, ok := u.o.Source.(interface {
		Watch(ctx context.Context, q Query, wake func())
	})
	if !ok {
		return nil, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ch := make(chan struct{}, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		s.Watch(ctx, u.query(Request{}), func() {
			select {
			case ch <- struct{}{}:
			default: // one check sees it all
			}
		})
	})
	return ch, func() { cancel(); wg.Wait() }
}

// loop remembers when to look again.
type loop struct {
	Schedule
	u      *Updater
	rng    *rand.Rand
	retry  time.Time // when the last failed build may be tried again
	turn   time.Time // when this host's share of a rollout comes
	failed int       // checks in a row that brought no answer
	busy   time.Time // before which the server does not want to be asked
	again  time.Time // when a window opens or a hold ends
	late   time.Duration
}

func newLoop(u *Updater) *loop {
	return &loop{Schedule: Schedule{u.interval()}, u: u, rng: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
}

// once checks, upgrades if it may, and reports whether this process was replaced. Check and Upgrade log what they find.
func (l *loop) once(ctx context.Context) bool {
	u := l.u
	f, err := u.Check(ctx, Request{})
	l.retry, l.turn, l.busy = time.Time{}, time.Time{}, time.Time{}
	l.again, l.late = f.Again, f.late
	if err != nil {
		l.failed++
		l.noteBusy(err)
		return false
	}
	l.failed = 0
	if f.Turn != nil {
		l.turn = f.Turn.At
	}
	if f.Stop != nil && f.Stop.Reason == "backing-off" {
		l.noteRetry(f.Candidate.identity())
	}
	if !f.Available {
		return false
	}
	out, err := u.Upgrade(ctx, Request{Events: u.o.Progress})
	u.o.Ended(out, err)
	if err != nil {
		l.noteRetry(f.Candidate.identity())
		l.noteBusy(err)
		return false
	}
	return out.Changed && out.Restarted
}

func (l *loop) noteRetry(d release.Digest) {
	l.u.mu.Lock()
	defer l.u.mu.Unlock()
	if f := l.u.state.failing(d); f != nil {
		l.retry = f.Until
	}
}

func (l *loop) noteBusy(err error) {
	if d := retryAfter(err); d > 0 {
		l.busy = l.u.now().Add(d)
	}
}

// wait is the time to the next check: as scheduled, or less where a build may be tried again before. It is never nothing. What a server has
// asked for comes before all that.
func (l *loop) wait() time.Duration {
	now := l.u.now()
	if !l.busy.IsZero() {
		return l.after(l.rng, max(l.busy.Sub(now), 0))
	}
	wait := l.Wait(l.rng, now, l.turn, l.failed)
	if !l.again.IsZero() {
		wait = min(wait, l.opening(l.rng, l.again.Sub(now), l.late))
	}
	if !l.retry.IsZero() {
		wait = min(wait, max(l.retry.Sub(now), leastWait))
	}
	return wait
}
