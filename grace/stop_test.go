//go:build unix

package grace_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStopDuringCommit: a successor that is told to stop while the commit runs takes its predecessor along; nobody serves again.
func TestStopDuringCommit(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=300ms")
	s.waitUp()
	verdict := s.askUpgrade("?slow=1500ms")
	s.file("committing")
	s.signal(pidOf(t, s.addr), syscall.SIGTERM)
	if v := <-verdict; v != "ok" {
		t.Errorf("verdict %q: the commit had succeeded", v)
	}
	s.waitEnd(4 * time.Second)
	eventually(t, "both gone", func() bool { return len(s.pids()) == 0 })
	if strings.Contains(s.log(), "serving again") {
		t.Error("the predecessor served again")
	}
}

// TestStopWaitsForTheSuccessor: after a stop in standby the predecessor, which a supervisor knows, exits last, however
// long the successor's requests take before the drain deadline.
func TestStopWaitsForTheSuccessor(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=20s", "GRACE_TEST_DRAIN=15s")
	s.waitUp()
	old := s.cmd.Process.Pid
	s.signal(old, syscall.SIGHUP)
	s.waitLog("standing by")
	const slow = 7 * time.Second
	asked := time.Now()
	answer := make(chan error, 1)
	go func() {
		_, err := get(s.addr, fmt.Sprintf("/hello?sleep=%d", int(slow.Seconds())))
		answer <- err
	}()
	eventually(t, "the slow request in flight", func() bool { return established(t, s.addr) >= 1 })
	s.signal(old, syscall.SIGTERM)
	s.waitEnd(slow + 5*time.Second)
	if took := time.Since(asked); took < slow { // the client may hear of the answer later than we of the end
		t.Errorf("the predecessor exited after %s, before the successor can have answered", took)
	}
	if err := <-answer; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
}

// TestStopWithHungSuccessor: a second stop does not wait, and leaves nobody behind who holds the sockets.
func TestStopWithHungSuccessor(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=20s", "GRACE_TEST_DRAIN=60s")
	s.waitUp()
	old := s.cmd.Process.Pid
	s.signal(old, syscall.SIGHUP)
	s.waitLog("standing by")
	s.freeze(pidOf(t, s.addr))
	s.signal(old, syscall.SIGTERM)
	s.waitLog("msg=draining")
	time.Sleep(1100 * time.Millisecond) // what makes it a second stop
	s.signal(old, syscall.SIGTERM)
	s.waitEnd(10 * time.Second)
	eventually(t, "both gone", func() bool { return len(s.pids()) == 0 })
}

// TestStopWhileThePredecessorDrains: when the service has ended nobody waits in the queue of a predecessor that still drains.
func TestStopWhileThePredecessorDrains(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=200ms", "GRACE_TEST_DRAIN=30s")
	s.waitUp()
	answer := make(chan error, 1)
	go func() {
		_, err := get(s.addr, "/hello?sleep=6")
		answer <- err
	}()
	eventually(t, "the slow request in flight", func() bool { return established(t, s.addr) >= 1 })
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	s.waitLog("handed over")
	s.signal(pidOf(t, s.addr), syscall.SIGTERM)
	eventually(t, "new clients refused", func() bool { return refuses(s.addr) })
	select {
	case err := <-answer:
		t.Fatalf("refused only after the slow request had ended: %v", err)
	default:
	}
	if err := <-answer; err != nil {
		t.Errorf("the slow request: %v", err)
	}
	s.waitEnd(15 * time.Second)
}

// refuses reports whether nobody listens at addr: a queue that is full, where a dial takes long, is somebody's.
func refuses(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
