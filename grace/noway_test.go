//go:build unix

package grace_test

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNoWayBackBeforeReady: a successor that migrates and dies before it is ready leaves a predecessor that serves on, and says
// on what.
func TestNoWayBackBeforeReady(t *testing.T) {
	t.Parallel()
	s := start(t, "cron")
	s.waitUp()
	s.behave("migrates early, exits")
	verdict, err := get(s.addr, "/upgrade")
	if err != nil || !strings.HasPrefix(verdict, "exited|true|") || !strings.Contains(verdict, "no way back") {
		t.Errorf("%q, %v", verdict, err)
	}
	if pid := pidOf(t, s.addr); pid != s.cmd.Process.Pid {
		t.Errorf("pid %d serves, not the predecessor", pid)
	}
}

// TestNoWayBackCommitsEarly: one good round of health is enough.
func TestNoWayBackCommitsEarly(t *testing.T) {
	t.Parallel()
	s := start(t, "cron", "GRACE_TEST_PROBATION=1h")
	s.waitUp()
	s.behave("migrates early")
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	s.waitLog("handed over")
	s.waitEnd(20 * time.Second)

	s.behave("") // and when it is said only on probation
	next := pidOf(t, s.addr)
	s.signal(next, syscall.SIGHUP)
	eventually(t, "generation 3", func() bool { return pidOf(t, s.addr) != next })
	if _, err := get(s.addr, "/migrate"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the commit", func() bool { return strings.Count(s.log(), "handed over") == 2 })
}

// TestNoWayBackAfterReady: when a successor that has migrated dies, the predecessor starts it again and never serves itself: the
// clients wait in the kernel's queue meanwhile.
func TestNoWayBackAfterReady(t *testing.T) {
	t.Parallel()
	s := start(t, "cron", "GRACE_TEST_PROBATION=1h", "GRACE_TEST_STANDBY=waits") // so that it does not commit
	s.waitUp()
	old := s.cmd.Process.Pid
	s.behave("migrates early")
	s.signal(old, syscall.SIGHUP)
	s.waitLog("standing by")
	for range 3 {
		next := pidOf(t, s.addr)
		if next == old {
			t.Fatal("the predecessor serves")
		}
		s.signal(next, syscall.SIGKILL)
		eventually(t, "its end", func() bool { return !stillRuns(s, next) })
		if again := pidOf(t, s.addr); again == old || again == next {
			t.Fatalf("after the death of %d, %d answers; the predecessor is %d", next, again, old)
		}
	}
	s.touch("let-go")
	s.waitLog("handed over")
	s.waitEnd(20 * time.Second)
}

func stillRuns(s *server, pid int) bool {
	for _, p := range s.pids() {
		if p == pid {
			return true
		}
	}
	return false
}

// TestNoWayBackInDrain: the same after COMMIT, as long as the predecessor drains.
func TestNoWayBackInDrain(t *testing.T) {
	t.Parallel()
	s := start(t, "cron")
	s.waitUp()
	old := s.cmd.Process.Pid
	slow := s.slowRequest("8")
	defer slow.Close()
	s.behave("migrates early")
	s.signal(old, syscall.SIGHUP)
	s.waitLog("handed over")
	next := pidOf(t, s.addr)
	s.signal(next, syscall.SIGKILL)
	eventually(t, "its end", func() bool { return !stillRuns(s, next) })
	if again := pidOf(t, s.addr); again == old || again == next {
		t.Errorf("after the death of %d, %d answers; the predecessor is %d", next, again, old)
	}
	eventually(t, "the second commit", func() bool { return strings.Count(s.log(), "handed over") == 2 })
	if strings.Contains(strings.Join(s.events(), " "), "resume") {
		t.Error("OnResume was called in a process that must not serve")
	}
}

// TestNoWayBackAndNoWayOn: when no successor starts any more, the process ends with an error.
func TestNoWayBackAndNoWayOn(t *testing.T) {
	t.Parallel()
	s := start(t, "cron", "GRACE_TEST_PROBATION=1h", "GRACE_TEST_STANDBY=waits")
	s.waitUp()
	s.behave("migrates early")
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	s.waitLog("standing by")
	next := pidOf(t, s.addr)
	s.behave("exits")
	s.signal(next, syscall.SIGKILL)
	select {
	case <-s.done:
	case <-time.After(60 * time.Second):
		t.Fatal("it still runs")
	}
	if s.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(s.log(), "no successor after 6 starts") {
		t.Errorf("%s", s.cmd.ProcessState)
	}
}

// TestNoWayBackAndNoCommit: a commit that fails does not end a successor that alone can serve; whoever asked is told.
func TestNoWayBackAndNoCommit(t *testing.T) {
	t.Parallel()
	s := start(t, "cron")
	s.waitUp()
	s.behave("migrates early")
	verdict, err := get(s.addr, "/upgrade?commit=no+space")
	if err != nil || !strings.HasPrefix(verdict, "commit|true|") {
		t.Errorf("%q, %v", verdict, err)
	}
	s.waitLog("handed over")
	if pid := pidOf(t, s.addr); pid == s.cmd.Process.Pid || !strings.Contains(s.log(), "pid="+strconv.Itoa(pid)) {
		t.Errorf("pid %d serves", pid)
	}
	s.waitEnd(20 * time.Second)
}
