package grace

import (
	"syscall"
	"testing"
	"time"
)

// TestNotifyBesideAFork: a child that a busy machine lets wait for its exec holds syscall.ForkLock meanwhile. The watchdog hears of us all the
// same.
func TestNotifyBesideAFork(t *testing.T) {
	socket, got := readNotices(t)
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	go socket.send("WATCHDOG=1", nil)
	select {
	case text := <-got:
		if text != "WATCHDOG=1" {
			t.Errorf("got %q", text)
		}
	case <-time.After(20 * time.Second):
		t.Error("waits for the fork")
	}
}
