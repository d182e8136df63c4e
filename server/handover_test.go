package server

import (
	"testing"
	"time"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

// The status tells of an update from its first step to its end, and of the successor from its start to the verdict.
func TestStatusOfAHandover(t *testing.T) {
	b := newBench(t, Service{UpdateProbation: time.Minute, Probation: time.Second})
	r, at := b.r, time.UnixMilli(1764288000123)
	r.p.(*fakeProcess).state.Store(int32(grace.Serving))
	if st := r.Status(); st.Progress != nil || st.Handover != nil {
		t.Fatalf("before anything: %+v, %+v", st.Progress, st.Handover)
	}
	r.tellProgress(updater.Event{Phase: updater.PhaseFetch, Attempt: "u-1", Done: 1, Total: 2})
	r.tellProgress(updater.Event{Phase: updater.PhaseFetch, Attempt: "u-1", Done: 2, Total: 2})
	if st := r.Status(); st.Progress == nil || st.Progress.Done != 2 {
		t.Errorf("while it fetches: %+v", st.Progress)
	}
	r.onEvent(grace.Event{Step: grace.StepSpawned, Generation: 2, PID: 7, Time: at})
	if st := r.Status(); st.Handover == nil || *st.Handover != (admin.Handover{Generation: 2, PID: 7, Since: at}) {
		t.Errorf("with a successor that starts: %+v", st.Handover)
	}
	r.onEvent(grace.Event{Step: grace.StepGreeted, Generation: 2, PID: 7, Version: "1.1.0\x1b", Time: at})
	if st := r.Status(); st.Handover == nil || st.Handover.Version != "1.1.0" {
		t.Errorf("with a successor that has spoken: %+v", st.Handover)
	}
	r.onEvent(grace.Event{Step: grace.StepStandby, Generation: 2, PID: 7, Time: at})
	if st := r.Status(); st.Handover == nil || !st.Handover.Until.Equal(at.Add(time.Minute)) {
		t.Errorf("with a successor on probation: %+v", st.Handover)
	}
	r.onEvent(grace.Event{Step: grace.StepRolledBack, Generation: 2, PID: 7, Time: at})
	r.tellEnd(updater.Outcome{}, nil)
	if st := r.Status(); st.Progress != nil || st.Handover != nil {
		t.Errorf("after its end: %+v, %+v", st.Progress, st.Handover)
	}

	r.onEvent(grace.Event{Step: grace.StepStandby, Generation: 2, PID: 7, Time: at})
	if st := r.Status(); st.Handover == nil || !st.Handover.Until.Equal(at.Add(time.Second)) {
		t.Errorf("after HUP: %+v", st.Handover)
	}
}

// A process on probation shows its predecessor, and how long it will be watched.
func TestStatusOnProbation(t *testing.T) {
	b := newBench(t, Service{Probation: time.Second})
	b.p.generation = 4
	b.p.state.Store(int32(grace.Probation))
	b.r.passage.becameReady()
	h := b.r.Status().Handover
	if h == nil || h.Generation != 3 || h.Until.Sub(h.Since) != time.Second {
		t.Errorf("handover %+v, want that from generation 3", h)
	}
}
