package server

import (
	"context"
	"testing"

	"github.com/moult-go/moult/grace"
)

// TestDrainingTwice: what begins when this process serves again, because its successor died, is not told to go for the drain before.
func TestDrainingTwice(t *testing.T) {
	r := &runner{}
	ctx := context.WithValue(t.Context(), ofRun{}, r)
	told := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	first := Draining(ctx)
	r.noteDrain(grace.StepStandby)
	if told(first) {
		t.Error("told to go in standby")
	}
	r.noteDrain(grace.StepCommitted)
	if !told(first) || !told(Draining(ctx)) {
		t.Error("not told of the drain")
	}
	r.noteDrain(grace.StepResurrected)
	second := Draining(ctx)
	if !told(first) || told(second) {
		t.Errorf("after the return: the first told %t, the second %t", told(first), told(second))
	}
	r.graceOptions().OnDrain(nil)
	if !told(second) {
		t.Error("not told of the second drain")
	}
	r.noteDrain(grace.StepDrained)
}
