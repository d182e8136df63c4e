package grace

import (
	"context"
	"testing"
	"testing/synctest"
)

// TestTurnstile: shut, it waits for those inside and holds those who come; open or refusing, it lets them go.
func TestTurnstile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := &turnstile{}
		for round, refuse := range []bool{false, true, false} {
			if !ts.enter(t.Context()) {
				t.Fatalf("round %d: an open one refuses", round)
			}
			empty := ts.shut()
			verdicts := make(chan bool, 2)
			for range cap(verdicts) {
				go func() { verdicts <- ts.enter(t.Context()) }()
			}
			gone, cancel := context.WithCancel(t.Context())
			cancel()
			if ts.enter(gone) {
				t.Errorf("round %d: a client that is gone was let in", round)
			}
			synctest.Wait()
			select {
			case <-empty:
				t.Errorf("round %d: empty, with somebody inside", round)
			default:
			}
			ts.leave()
			synctest.Wait()
			select {
			case <-empty:
			default:
				t.Errorf("round %d: not empty, with nobody inside", round)
			}
			if len(verdicts) != 0 {
				t.Errorf("round %d: nobody was held", round)
			}
			if refuse {
				ts.refuse()
			} else {
				ts.open()
			}
			for range cap(verdicts) {
				if in := <-verdicts; in == refuse {
					t.Errorf("round %d: let in: %t", round, in)
				} else if in {
					ts.leave()
				}
			}
			if refuse && ts.enter(t.Context()) {
				t.Errorf("round %d: who comes later is let in", round)
			}
			ts.open()
		}
		select {
		case <-ts.shut(): // nobody inside
		default:
			t.Error("not empty at the end")
		}
	})
}
