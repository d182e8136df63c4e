//go:build unix

package grace_test

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moult-go/moult/grace"
)

// TestHooksOnce: with three servers a signal's hooks run once each, those before its action and those after it, and a function
// that all three have runs once. Shutdown callbacks run once each in every process.
func TestHooksOnce(t *testing.T) {
	t.Parallel()
	addrs := []string{freePort(t), freePort(t), freePort(t)}
	s := startSeed(t, []string{"tcp " + addrs[0] + " listen", "tcp " + addrs[1] + " listen", "tcp " + addrs[2] + " plain"})
	for _, addr := range addrs {
		s.addr = addr
		s.waitUp()
		pidOf(t, addr) // an answer: a listener alone would accept before its server has its hooks
	}
	old := s.cmd.Process.Pid
	fresh := s.restart()
	s.stop(fresh)
	want := map[string]int{fmt.Sprint("hook shared ", old): 1, fmt.Sprint("hook shared ", fresh): 1}
	for i := range addrs {
		want[fmt.Sprint("hook before hangup ", i, " ", old)] = 1
		want[fmt.Sprint("hook after hangup ", i, " ", old)] = 1
		want[fmt.Sprint("hook before terminated ", i, " ", fresh)] = 1
		want[fmt.Sprint("hook after terminated ", i, " ", fresh)] = 1
		want[fmt.Sprint("hook callback ", i, " ", old)] = 1
		want[fmt.Sprint("hook callback ", i, " ", fresh)] = 1
	}
	text := s.log()
	checkHooks(t, text, want)
	inOrder(t, text, "hook before hangup", "handing over", "handed over", "hook after hangup",
		"hook before terminated", "hook callback", fmt.Sprint("drained generation=", 2), "hook after terminated")
	for _, pid := range []int{old, fresh} {
		if _, rest, _ := strings.Cut(text, fmt.Sprintf("stopped %d\n", pid)); strings.Contains(rest, fmt.Sprintf(" %d\n", pid)) {
			t.Errorf("a hook of pid %d ran after the servers had returned", pid)
		}
	}
}

// inOrder checks that each text comes after the one before it.
func inOrder(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		_, rest, ok := strings.Cut(text, w)
		if !ok {
			t.Errorf("%q is missing, or not in its place", w)
			return
		}
		text = rest
	}
}

// TestStopDuringProbationRunsHooks: a stop that is passed on is a stop: both processes run their hooks.
func TestStopDuringProbationRunsHooks(t *testing.T) {
	t.Parallel()
	addr := freePort(t)
	s := startSeed(t, []string{"tcp " + addr + " plain"}, "GRACE_TEST_PROBATION=10s")
	s.addr = addr
	s.waitUp()
	old := s.cmd.Process.Pid
	s.signal(old, syscall.SIGHUP)
	s.waitLog("standing by")
	s.signal(old, syscall.SIGTERM)
	s.waitEnd(20 * time.Second)
	eventually(t, "the end", func() bool { return len(s.pids()) == 0 })
	if n := strings.Count(s.log(), "hook after terminated 0 "); n != 2 {
		t.Errorf("hooks ran in %d of 2 processes", n)
	}
}

// TestHangingHooks: a hook that never returns holds up neither a restart nor a stop for long, and a second stop not at all. The
// server serves meanwhile.
func TestHangingHooks(t *testing.T) {
	t.Parallel()
	t.Run("before", func(t *testing.T) {
		t.Parallel()
		addr := freePort(t)
		s := startSeed(t, []string{"tcp " + addr + " plain"}, "GRACE_TEST_HANG="+strconv.Itoa(grace.PreSignal))
		s.addr = addr
		s.waitUp()
		old := s.cmd.Process.Pid
		s.signal(old, syscall.SIGHUP)
		s.waitLog("hook hangs")
		if got := pidOf(t, addr); got != old {
			t.Errorf("pid %d answers", got)
		}
		s.waitEnd(20 * time.Second)
		fresh := pidOf(t, addr)
		s.signal(fresh, syscall.SIGTERM)
		eventually(t, "the hook of TERM", func() bool { return strings.Count(s.log(), "hook hangs") == 2 })
		if got := pidOf(t, addr); got != fresh {
			t.Errorf("pid %d answers", got)
		}
		begun := time.Now()
		time.Sleep(1100 * time.Millisecond) // what makes it a second stop
		s.stop(fresh)
		if took := time.Since(begun); took > 4*time.Second {
			t.Errorf("the second stop took %s: it waited for the hook", took)
		}
	})
	t.Run("before a commit", func(t *testing.T) { // the service was asked to stop, whoever is it when the hook has had its time
		t.Parallel()
		addr := freePort(t)
		s := startSeed(t, []string{"tcp " + addr + " plain"}, "GRACE_TEST_PROBATION=2s", "GRACE_TEST_HANG="+strconv.Itoa(grace.PreSignal)) // less than the hook's time
		s.addr = addr
		s.waitUp()
		old := s.cmd.Process.Pid
		s.signal(old, syscall.SIGHUP)
		s.waitLog("standing by")
		s.signal(old, syscall.SIGTERM)
		s.waitLog("handed over")
		s.waitEnd(20 * time.Second)
		eventually(t, "the end of the successor", func() bool { return len(s.pids()) == 0 })
	})
	t.Run("after", func(t *testing.T) {
		t.Parallel()
		addr := freePort(t)
		s := startSeed(t, []string{"tcp " + addr + " plain"}, "GRACE_TEST_HANG="+strconv.Itoa(grace.PostSignal))
		s.addr = addr
		s.waitUp()
		s.stop(s.cmd.Process.Pid)
	})
}
