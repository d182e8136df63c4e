package grace

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"
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

// TestSlowAcceptLoop: where the processors are busy, a connection may take long from Accept to net/http. If the turnstile were shut before, its
// request would be read here, wait, and be turned away at the commit.
func TestSlowAcceptLoop(t *testing.T) {
	for _, hidden := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := &Process{o: Options{ReleaseTimeout: time.Minute}, conns: newConns(), turnstile: &turnstile{}}
			g := &gate{p: p}
			g.web.Store(&webService{})
			g.hidden.Store(hidden)
			here, there := net.Pipe()
			defer there.Close()
			c := p.conns.add(g, here)
			done := make(chan error, 1)
			go func() { done <- p.quiesce(context.Background()) }()
			time.Sleep(2 * settleTime) // of the bubble's clock
			synctest.Wait()
			select {
			case err := <-done:
				if !hidden {
					t.Errorf("it did not wait: %v", err)
				}
			default:
				if hidden {
					t.Error("it waits for a connection of which it will hear nothing")
				}
				c.end()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		})
	}
}
