package grace_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// pings are the watchdog's notices: also the one that goes along with MAINPID.
func (m *fakeManager) pings() (list []notice) {
	for _, n := range m.notices() {
		if n.has("WATCHDOG=1") {
			list = append(list, n)
		}
	}
	return list
}

// TestWatchdogFollowsMainPID: over three upgrades every ping comes from the process that the manager follows at that moment, and no
// two are further apart than the manager allows.
func TestWatchdogFollowsMainPID(t *testing.T) {
	t.Parallel()
	const interval = 4 * time.Second
	s, m := startSupervised(t, "WATCHDOG_USEC="+strconv.FormatInt(interval.Microseconds(), 10), "GRACE_TEST_PROBATION=3s")
	next := 0
	for range 3 {
		s.signal(pidOf(t, s.addr), syscall.SIGHUP)
		_, next = m.wait(next, "MAINPID=")
	}
	last := pidOf(t, s.addr)
	eventually(t, "a ping of the last generation", func() bool { return len(m.said(last, "WATCHDOG=1")) > 0 })

	main, before := s.cmd.Process.Pid, time.Time{}
	senders := []int{}
	for _, n := range m.notices() {
		if n.has("WATCHDOG=1") {
			if n.pid != main {
				t.Errorf("a ping from pid %d while the manager follows %d", n.pid, main)
			}
			if gap := n.at.Sub(before); !before.IsZero() && gap > interval {
				t.Errorf("%s between two pings", gap)
			}
			before = n.at
			if !slices.Contains(senders, n.pid) {
				senders = append(senders, n.pid)
			}
		}
		if v := n.value("MAINPID"); v != "" {
			main, _ = strconv.Atoi(v)
		}
	}
	if len(senders) != 4 {
		t.Errorf("pings from pids %v, want four generations", senders)
	}
	if v, err := get(s.addr, "/env?name=WATCHDOG_PID"); err != nil || v != strconv.Itoa(last) {
		t.Errorf("WATCHDOG_PID=%s in pid %d (%v)", v, last, err)
	}
}

// TestWatchdogStarves: a process that is not well, or whose Health or owner of the state hangs, does not ping; one that recovers does.
func TestWatchdogStarves(t *testing.T) {
	t.Parallel()
	const interval = 400 * time.Millisecond
	for _, trouble := range []string{"ill", "health hangs", "owner hangs"} {
		t.Run(trouble, func(t *testing.T) {
			t.Parallel()
			s, m := startSupervised(t, "WATCHDOG_USEC="+strconv.FormatInt(interval.Microseconds(), 10))
			pid := s.cmd.Process.Pid
			eventually(t, "pings", func() bool { return len(m.pings()) >= 2 })
			trigger := filepath.Join(s.dir, trouble)
			if err := os.WriteFile(trigger, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if trouble == "owner hangs" { // at the first step that it reports
				s.signal(pid, syscall.SIGHUP)
			}
			s.waitLog("no ping to the service manager's watchdog")
			n := len(m.pings())
			time.Sleep(3 * interval) // an absence can only be waited for
			if more := len(m.pings()) - n; more > 0 {
				t.Errorf("%d pings more", more)
			}
			if err := os.Remove(trigger); err != nil {
				t.Fatal(err)
			}
			eventually(t, "pings again", func() bool { return len(m.pings()) > n })
		})
	}
}

// TestWatchdogOfAnother: a watchdog that is meant for another process gets no pings.
func TestWatchdogOfAnother(t *testing.T) {
	t.Parallel()
	_, m := startSupervised(t, "WATCHDOG_USEC=100000", "WATCHDOG_PID=1")
	m.wait(0, "READY=1")
	time.Sleep(500 * time.Millisecond) // an absence can only be waited for
	if list := m.pings(); len(list) > 0 {
		t.Errorf("%d pings", len(list))
	}
}
