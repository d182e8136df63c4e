package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestColdStartGoesWell: it has when the process is well, after the time of a probation, and not before.
func TestColdStartGoesWell(t *testing.T) {
	var ill atomic.Bool
	ill.Store(true)
	asked := make(chan struct{}, 100)
	b := newBench(t, Service{UpdateProbation: time.Millisecond, HealthInterval: 10 * time.Millisecond, Health: func(context.Context) error {
		select {
		case asked <- struct{}{}:
		default:
		}
		if ill.Load() {
			return errors.New("ill")
		}
		return nil
	}})
	b.start()
	for range 3 {
		<-asked
	}
	if slices.Contains(b.u.said(), "started well") {
		t.Error("an ill process has started well")
	}
	ill.Store(false)
	b.wait("the end of the watch", func() bool { return slices.Contains(b.u.said(), "started well") })
	if err := b.finish(); err != nil {
		t.Error(err)
	}
}

func TestStartsThatFail(t *testing.T) {
	for _, test := range []struct {
		err       error
		blameless bool
	}{
		{errors.New("no database"), false},
		{fmt.Errorf("listen: %w", syscall.EADDRINUSE), true},
		{context.Canceled, true},
	} {
		b := newBench(t, Service{Start: func(context.Context) (http.Handler, error) { return nil, test.err }})
		b.r.run(context.Background())
		if got := slices.Contains(b.u.said(), "stop asked"); got != test.blameless {
			t.Errorf("%v: taken back: %v", test.err, got)
		}
	}
	b := newBench(t, Service{TLS: TLS{Cert: "/nonexistent/cert.pem", Key: "/nonexistent/key.pem"}})
	if err := b.r.run(context.Background()); err == nil || !slices.Contains(b.u.said(), "stop asked") {
		t.Errorf("a certificate that is not there is not the program's fault: %v, %v", err, b.u.said())
	}
}

func TestNoWayBack(t *testing.T) {
	var got error
	b := newBench(t, Service{})
	b.r.s.Handler, b.r.s.Start = nil, func(ctx context.Context) (http.Handler, error) {
		got = NoWayBack(ctx)
		return http.NotFoundHandler(), nil
	}
	b.start()
	b.wait("the update loop", func() bool { return slices.Contains(b.u.said(), "run") })
	if !slices.Contains(b.u.said(), "no way back") || got != nil {
		t.Errorf("%v, %v", b.u.said(), got)
	}
	b.finish()
	if err := NoWayBack(context.Background()); !errors.Is(err, ErrNoRun) {
		t.Errorf("outside of Start: %v", err)
	}
}
