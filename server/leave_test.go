package server

import (
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

func (b *bench) ready() int {
	w := httptest.NewRecorder()
	b.r.readyz(false).ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	return w.Code
}

// Load balancers get their time, handovers none, and an operator may think again.
func TestDrain(t *testing.T) {
	b := newBench(t, Service{DrainTimeout: time.Minute})
	b.start()
	hour := admin.Drain{Delay: admin.Seconds(time.Hour)}
	d, err := b.r.Drain(hour)
	if err != nil || time.Until(d.StopsAt) < 59*time.Minute || d.Deadline.Sub(d.StopsAt) != time.Minute {
		t.Errorf("%+v, %v", d, err)
	}
	if code := b.ready(); code != 503 || !b.r.Status().StopsAt.Equal(d.StopsAt) {
		t.Errorf("readyz %d, status %s", code, b.r.Status().StopsAt)
	}
	if err := b.r.hangup(t.Context()); !errors.Is(err, grace.ErrBusy) {
		t.Errorf("a restart meanwhile: %v", err)
	}
	if err := (handover{b.p, b.r.mayHandOver, func() {}}).Handover(t.Context(), "x", nil); !errors.Is(err, grace.ErrBusy) {
		t.Errorf("an update meanwhile: %v", err)
	}
	var f *admin.Failure
	if _, err := b.r.Restart(t.Context(), func(updater.Event) {}); !errors.As(err, &f) || f.Reason != "stopping" {
		t.Errorf("a restart asked for meanwhile: %v", err)
	}
	if d, err := b.r.Drain(admin.Drain{Undo: true}); err != nil || !d.StopsAt.IsZero() || !d.Deadline.IsZero() || b.ready() != 200 {
		t.Errorf("taken back: %+v, %v, readyz %d", d, err, b.ready())
	}
	if _, err := b.r.Drain(hour); err != nil {
		t.Error(err)
	}
	if _, err := b.r.Drain(admin.Drain{}); err != nil { // not in an hour, but now
		t.Error(err)
	}
	select {
	case <-b.p.exited:
	case <-time.After(10 * time.Second):
		t.Fatal("does not stop")
	}
	if _, err := b.r.Drain(admin.Drain{Undo: true}); err == nil {
		t.Error("taken back when it was over")
	}
	b.finish()
}

func TestDrainRefuses(t *testing.T) {
	b := newBench(t, Service{})
	b.start()
	for _, d := range []admin.Drain{{Delay: admin.Seconds(25 * time.Hour)}, {Delay: 1, Undo: true}} {
		if _, err := b.r.Drain(d); classOf(err) != updater.Usage {
			t.Errorf("%+v: %v", d, err)
		}
	}
	b.p.state.Store(int32(grace.Standby))
	if _, err := b.r.Drain(admin.Drain{Delay: admin.Seconds(time.Hour)}); err == nil {
		t.Error("a plan that a commit would lose")
	}
	b.p.state.Store(int32(grace.Serving))
	b.finish()
}
