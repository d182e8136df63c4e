package grace

import (
	"testing"
	"time"
)

// TestClaimAfterTheEnd: a server that begins while the process is stopped does not wait for ever.
func TestClaimAfterTheEnd(t *testing.T) {
	d := &shared{&Process{exited: make(chan struct{})}, make(chan struct{})}
	close(d.exited)
	d.declare()
	done := make(chan struct{})
	go func() {
		d.tell()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Error("still waiting")
	}
}
