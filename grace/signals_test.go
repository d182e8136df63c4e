//go:build unix

package grace_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestHangupStorm: a thousand HUPs to whoever serves, while upgrades run, lose no service; they cost one handover after the
// other, and when they end, so do those. (One to a process that has not come to New yet would end it, as it ends any program.)
func TestHangupStorm(t *testing.T) {
	t.Parallel()
	const probation = 100 * time.Millisecond
	s := start(t, "full", "GRACE_TEST_PROBATION="+probation.String())
	s.waitUp()
	stop := load(s.addr, 2)
	began := time.Now()
	for sent := 0; sent < 1000 || time.Since(began) < 15*probation; {
		pid := pidOf(t, s.addr)
		for range 20 {
			if syscall.Kill(pid, syscall.SIGHUP) == nil {
				sent++
			}
		}
	}
	var last int
	eventually(t, "one generation that serves", func() bool {
		v, err := get(s.addr, "/state")
		last = pidOf(t, s.addr)
		return err == nil && v == "serving" && len(s.pids()) == 1
	})
	handovers, most := strings.Count(s.log(), "msg=\"handing over\""), int(time.Since(began)/probation)+2
	if handovers < 1 || handovers > most {
		t.Errorf("%d handovers in %s, want 1 to %d", handovers, time.Since(began), most)
	}
	time.Sleep(5 * probation) // nothing may happen in it
	if n := strings.Count(s.log(), "msg=\"handing over\""); n != handovers || pidOf(t, s.addr) != last {
		t.Errorf("%d handovers more after the storm", n-handovers)
	}
	if n, failed := stop(); n == 0 || len(failed) > 0 {
		t.Errorf("%d of %d requests failed: %v", len(failed), n, failed)
	}
}

// TestHangupKept: a HUP to the successor on probation runs after the commit, and one during a handover that is undone is
// dropped, with a word in the log.
func TestHangupKept(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=600ms", "GRACE_TEST_START=5s")
	s.waitUp()
	old := s.cmd.Process.Pid
	s.behave("late")
	verdict := s.askUpgrade("")
	newcomer := atoi(t, s.file("late"))
	s.signal(old, syscall.SIGHUP)
	s.waitLog("HUP kept")
	s.signal(newcomer, syscall.SIGKILL)
	if v := <-verdict; !strings.HasPrefix(v, "exited|") {
		t.Errorf("verdict %q", v)
	}
	s.waitLog("HUP dropped")
	if strings.Count(s.log(), "msg=\"handing over\"") != 1 {
		t.Error("it ran all the same")
	}

	s.behave("")
	s.signal(old, syscall.SIGHUP)
	s.waitLog("standing by")
	s.signal(pidOf(t, s.addr), syscall.SIGHUP)
	eventually(t, "generation 3 alone", func() bool { return strings.Contains(s.log(), "handed over\" generation=2") && len(s.pids()) == 1 })
}

// TestStopWhileHandingOver: TERM before the successor is ready ends it, and it is reaped before the predecessor exits.
func TestStopWhileHandingOver(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_START=60s")
	s.waitUp()
	s.behave("late")
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	newcomer := atoi(t, s.file("late"))
	s.signal(s.cmd.Process.Pid, syscall.SIGTERM)
	eventually(t, "the predecessor's end", func() bool {
		select {
		case <-s.done:
			return true
		default:
			return false
		}
	})
	if err := syscall.Kill(newcomer, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the newcomer, pid %d, was left behind: %v", newcomer, err)
	}
	s.waitEnd(time.Second)
}

// TestStopAfterCommit: TERM to a process while the commit runs is for the service; once it has been replaced, only for itself.
func TestStopAfterCommit(t *testing.T) {
	t.Parallel()
	t.Run("during", func(t *testing.T) {
		t.Parallel()
		s := start(t, "full", "GRACE_TEST_PROBATION=200ms", "GRACE_TEST_DRAIN=60s") // after which a successor that was not told is killed
		s.waitUp()
		verdict := s.askUpgrade("?slow=1s")
		s.file("committing")
		s.signal(s.cmd.Process.Pid, syscall.SIGTERM)
		if v := <-verdict; v != "ok" {
			t.Errorf("verdict %q", v)
		}
		s.waitEnd(20 * time.Second)
		eventually(t, "both gone", func() bool { return len(s.pids()) == 0 })
	})
	t.Run("after", func(t *testing.T) {
		t.Parallel()
		s := start(t, "full", "GRACE_TEST_PROBATION=200ms", "GRACE_TEST_DRAIN=60s")
		s.waitUp()
		slow := make(chan error, 1)
		go func() {
			_, err := get(s.addr, "/hello?sleep=2")
			slow <- err
		}()
		eventually(t, "the slow request in flight", func() bool { return established(t, s.addr) >= 1 })
		s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
		s.waitLog("msg=draining generation=1")
		s.signal(s.cmd.Process.Pid, syscall.SIGTERM)
		if err := <-slow; err != nil {
			t.Errorf("the request in flight: %v", err)
		}
		s.waitEnd(20 * time.Second)
		if v, err := get(s.addr, "/state"); err != nil || v != "serving" {
			t.Errorf("the successor is %q, %v", v, err)
		}
	})
}

// TestNohup: a HUP that was ignored at the start stays ignored, in later generations too; USR2 asks for them.
func TestNohup(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sh", "-c", `trap "" HUP; exec "$0"`, executable(t))
	s := launch(t, t.TempDir(), cmd, "full", "GRACE_TEST_PROBATION=200ms")
	s.waitUp()
	for generation := 1; generation <= 2; generation++ {
		pid := pidOf(t, s.addr)
		s.signal(pid, syscall.SIGHUP)
		s.signal(pid, syscall.SIGUSR2)
		eventually(t, "the next generation alone", func() bool { return pidOf(t, s.addr) != pid && len(s.pids()) == 1 })
		eventually(t, "serving", func() bool { v, err := get(s.addr, "/state"); return err == nil && v == "serving" })
	}
	if n := strings.Count(s.log(), "msg=\"handing over\""); n != 2 {
		t.Errorf("%d handovers, want the 2 that USR2 asked for", n)
	}
}

// TestNobodyReads: standard output and error whose reader is gone end no generation, as long as nobody writes there: this
// package does not.
func TestNobodyReads(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	cmd := exec.Command("sh", "-c", `exec "$0" >&3 2>&3 3>&-`, executable(t))
	cmd.ExtraFiles = []*os.File{w}
	s := launch(t, t.TempDir(), cmd, "echo")
	s.waitUp()
	for range 2 {
		pids := s.pids()
		s.signal(pids[0], syscall.SIGHUP)
		eventually(t, "the next generation alone", func() bool { now := s.pids(); return len(now) == 1 && now[0] != pids[0] })
	}
	if _, err := os.Stat(filepath.Join(s.dir, "undone")); err == nil {
		t.Errorf("a handover was undone: %s", s.file("undone"))
	}
}
