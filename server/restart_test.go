package server

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/server/client"
	"github.com/moult-go/moult/updater"
)

func TestRestart(t *testing.T) {
	for _, tt := range []struct {
		name   string
		err    error
		class  updater.Class
		reason string
	}{
		{"good", nil, "", ""},
		{"crashed", &grace.HandoverError{Cause: grace.CauseCrashed, LastWords: "panic: no"}, updater.Undone, "crashed"},
		{"never ready", &grace.HandoverError{Cause: grace.CauseExited}, updater.Failed, "exited"},
		{"stopped", &grace.HandoverError{Cause: grace.CauseStopped}, updater.Failed, "interrupted"},
		{"busy", &grace.BusyError{State: grace.HandingOver}, updater.Busy, "busy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, Service{})
			probation := make(chan struct{})
			b.p.handover = func(_ context.Context, path string, commit func() error) error {
				if path != b.p.install || commit != nil {
					t.Errorf("hands over to %s, with a commit: %v", path, commit != nil)
				}
				if tt.err == nil || tt.class == updater.Undone {
					b.r.onEvent(grace.Event{Step: grace.StepGreeted, Version: "1.1.0"})
					b.r.onEvent(grace.Event{Step: grace.StepStandby})
					<-probation
				}
				return tt.err
			}
			b.start()
			b.wait("the update loop", func() bool { return slices.Contains(b.u.said(), "run") })
			var told []string
			out, err := b.r.Restart(t.Context(), func(e updater.Event) {
				told = append(told, string(e.Phase)+" "+e.Version)
				if e.Phase == updater.PhaseProbation {
					close(probation)
				}
			})
			var f *admin.Failure
			if err != nil {
				f = admin.NewFailure("hello", "1.0.0", err)
			}
			switch {
			case tt.err == nil && (err != nil || out != updater.Outcome{Changed: true, From: "1.0.0", To: "1.1.0", Restarted: true}):
				t.Errorf("%+v, %v", out, err)
			case tt.err != nil && (f == nil || f.Class != tt.class || f.Reason != tt.reason):
				t.Errorf("%+v", f)
			case tt.class == updater.Undone && f.Words != "panic: no":
				t.Errorf("last words %q", f.Words)
			}
			want := []string{"prove ", "hand over "}
			if tt.err == nil || tt.class == updater.Undone {
				want = append(want, "probation 1.1.0")
			}
			if !slices.Equal(told, want) {
				t.Errorf("told %q, want %q", told, want)
			}
			if said := b.u.said(); tt.class != updater.Busy && tt.reason != "interrupted" && !slices.Contains(said, map[bool]string{true: "restart good", false: "restart failed"}[tt.err == nil]) {
				t.Errorf("the updater was told %v", said)
			}
			b.finish()
		})
	}
}

// Over the socket, and without an updater: a restart needs none.
func TestRestartWithoutUpdater(t *testing.T) {
	b := newBench(t, Service{})
	b.r.u, b.r.unusable = nil, errors.New("read-only")
	b.p.handover = func(context.Context, string, func() error) error { return &grace.BusyError{State: grace.Standby} }
	b.start()
	_, err := client.New(b.r.place.sock).Restart(t.Context(), nil)
	if !errors.Is(err, updater.ErrBusy) {
		t.Errorf("%v, want busy", err)
	}
	b.finish()
}
