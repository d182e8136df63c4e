package grace

import (
	"log/slog"
	"slices"
	"testing"
)

// TestTransitions walks the table: every state can be reached from the first, and can reach the last.
func TestTransitions(t *testing.T) {
	reach := map[State]bool{Starting: true}
	for grew := true; grew; {
		grew = false
		for from, list := range transitions {
			for _, to := range list {
				if reach[from] && !reach[to] {
					reach[to], grew = true, true
				}
			}
		}
	}
	for s := Starting; s <= Exited; s++ {
		if !reach[s] {
			t.Errorf("%s cannot be reached", s)
		}
		if s != Exited && len(transitions[s]) == 0 {
			t.Errorf("%s has no way out", s)
		}
	}
	if len(transitions[Exited]) > 0 {
		t.Error("exited has a way out")
	}
}

// TestFailingEdges: from every state of a handover a predecessor can get back to serving.
func TestFailingEdges(t *testing.T) {
	for _, s := range []State{HandingOver, Standby, Draining} {
		if !slices.Contains(transitions[s], Serving) {
			t.Errorf("no way back from %s to serving", s)
		}
	}
}

func TestIllegalTransitionPanics(t *testing.T) {
	p := &Process{log: slog.New(slog.DiscardHandler)}
	p.set(Serving)
	defer func() {
		if recover() == nil {
			t.Error("serving to probation was allowed")
		}
		if p.State() != Serving {
			t.Errorf("state is %s", p.State())
		}
	}()
	p.set(Probation)
}
