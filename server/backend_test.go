package server

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/server/client"
	"github.com/moult-go/moult/updater"
)

// 100 requests at once: one attempt, and 99 are told at once what is in the way.
func TestOneUpgrade(t *testing.T) {
	b := newBench(t, Service{})
	begun, finish := make(chan struct{}), make(chan struct{})
	var attempts atomic.Int32
	b.u.upgrade = func(_ context.Context, r updater.Request) (updater.Outcome, error) {
		if attempts.Add(1) == 1 {
			r.Events(updater.Event{Phase: updater.PhaseFetch, Version: "1.1.0"})
			close(begun)
		}
		<-finish
		return updater.Outcome{Changed: true, To: "1.1.0"}, nil
	}
	b.start()
	b.wait("the update loop", func() bool { return slices.Contains(b.u.said(), "run") })
	c := client.New(b.r.place.sock)
	var wg sync.WaitGroup
	var good, busy atomic.Int32
	ask := func() {
		_, err := c.Upgrade(context.Background(), admin.Request{}, nil)
		var f *admin.Failure
		switch {
		case err == nil:
			good.Add(1)
		case errors.As(err, &f) && f.Class == updater.Busy && f.Phase == "fetch" && f.Serving == "1.0.0":
			busy.Add(1)
		default:
			t.Error(err)
		}
	}
	wg.Go(ask)
	<-begun
	for range 99 {
		wg.Go(ask)
	}
	b.wait("99 to be told", func() bool { return busy.Load() == 99 })
	close(finish)
	wg.Wait()
	if good.Load() != 1 || attempts.Load() != 1 {
		t.Errorf("%d good, %d attempts", good.Load(), attempts.Load())
	}
	if a := b.r.attempt.Load(); a != nil {
		t.Error("the attempt is over and still in the way")
	}
	b.finish()
}

// The updater cannot see the probation: grace's standby is told to those who follow.
func TestProbationEvent(t *testing.T) {
	b := newBench(t, Service{})
	told := make(chan updater.Event, 10)
	b.u.upgrade = func(_ context.Context, r updater.Request) (updater.Outcome, error) {
		r.Events(updater.Event{Phase: updater.PhaseHandover, Version: "1.1.0"})
		b.r.onEvent(grace.Event{Step: grace.StepSpawned, PID: 7})
		b.r.onEvent(grace.Event{Step: grace.StepStandby, PID: 7})
		<-told
		if e := <-told; e.Phase != updater.PhaseProbation || e.Version != "1.1.0" {
			t.Errorf("told %+v", e)
		}
		return updater.Outcome{}, nil
	}
	b.start()
	b.wait("the update loop", func() bool { return slices.Contains(b.u.said(), "run") })
	if _, err := b.r.Change(context.Background(), false, admin.Request{}, func(e updater.Event) { told <- e }); err != nil {
		t.Error(err)
	}
	if said := b.u.said(); !slices.Contains(said, "spawned") || !slices.Contains(said, "standby") {
		t.Errorf("the updater was told %v", said)
	}
	b.finish()
}

// A stop ends an attempt that has not reached the handover, and the lock is given up after it.
func TestStopDuringUpgrade(t *testing.T) {
	b := newBench(t, Service{})
	begun := make(chan struct{})
	b.u.upgrade = func(ctx context.Context, _ updater.Request) (updater.Outcome, error) {
		close(begun)
		<-ctx.Done()
		b.u.note("upgrade ends")
		return updater.Outcome{}, ctx.Err()
	}
	b.start()
	b.wait("the update loop", func() bool { return slices.Contains(b.u.said(), "run") })
	result := make(chan error, 1)
	go func() {
		_, err := b.r.Change(context.Background(), false, admin.Request{}, func(updater.Event) {})
		result <- err
	}()
	<-begun
	b.finish()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("the attempt ended with %v", err)
	}
	if said := b.u.said(); said[len(said)-1] != "unlock" || !slices.Contains(said, "upgrade ends") {
		t.Errorf("order %v", said)
	}
}

// A handover that succeeds makes this process drain, which must not cancel it half way.
func TestHandoverOutlivesTheLoop(t *testing.T) {
	p := newFakeProcess(t.TempDir())
	p.handover = func(ctx context.Context, _ string, _ func() error) error { return ctx.Err() }
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := (handover{p, func() error { return nil }, func() {}}).Handover(ctx, "x", nil); err != nil {
		t.Errorf("canceled: %v", err)
	}
}

// What changes the state and no version goes to the updater, and is told who is in the way.
func TestEdits(t *testing.T) {
	b := newBench(t, Service{})
	b.start()
	b.wait("the update loop", func() bool { return slices.Contains(b.u.said(), "run") })
	c, ctx := client.New(b.r.place.sock), context.Background()
	if _, err := c.Hold(ctx, updater.Hold{Reason: "the fair"}); err != nil {
		t.Error(err)
	}
	if _, err := c.Unhold(ctx); err != nil {
		t.Error(err)
	}
	if q, err := c.Unquarantine(ctx, admin.Clear{Which: "1.1.0"}); err != nil || len(q.Quarantine) != 1 {
		t.Errorf("%+v, %v", q, err)
	}
	if h, err := c.History(ctx); err != nil || len(h.Attempts) != 1 {
		t.Errorf("%+v, %v", h, err)
	}
	for _, call := range []string{"hold the fair", "unhold", "unquarantine 1.1.0"} {
		if !slices.Contains(b.u.said(), call) {
			t.Errorf("the updater did not hear %q", call)
		}
	}
	b.u.editErr = &updater.Error{Class: updater.Busy, Reason: "busy", Err: updater.ErrBusy}
	var f *admin.Failure
	if _, err := c.Hold(ctx, updater.Hold{}); !errors.As(err, &f) || f.Class != updater.Busy || f.Phase == "" {
		t.Errorf("another instance holds the lock: %v", err)
	}
}

// Who is in the way of the loop's own attempt is told the phase from the journal, and not that of the attempt that was refused.
func TestBusyByTheLoop(t *testing.T) {
	b := newBench(t, Service{})
	b.u.upgrade = func(context.Context, updater.Request) (updater.Outcome, error) {
		return updater.Outcome{}, &updater.Error{Class: updater.Busy, Reason: "busy", Err: updater.ErrBusy}
	}
	b.start()
	b.wait("the update loop", func() bool { return slices.Contains(b.u.said(), "run") })
	var f *admin.Failure
	if _, err := client.New(b.r.place.sock).Upgrade(context.Background(), admin.Request{}, nil); !errors.As(err, &f) || f.Phase != "idle" {
		t.Errorf("%v, %+v", err, f)
	}
}
