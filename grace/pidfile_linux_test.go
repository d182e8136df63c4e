package grace_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// named is the process in the pid file: 0 if there is no file, -1 if it is not whole.
func (s *server) named() int {
	b, err := os.ReadFile(filepath.Join(s.dir, "run", "server.pid"))
	if os.IsNotExist(err) {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSuffix(string(b), "\n"))
	if err != nil || !strings.HasSuffix(string(b), "\n") {
		return -1
	}
	return pid
}

func startWithPIDFile(t *testing.T, stale string, env ...string) *server {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	if stale != "" {
		if err := os.WriteFile(filepath.Join(dir, "run", "server.pid"), []byte(stale), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := startIn(t, dir, "supervised", append([]string{"GRACE_TEST_PIDFILE=run/server.pid", "GRACE_TEST_PROBATION=1s"}, env...)...)
	s.waitUp()
	return s
}

// TestPIDFile: over upgrades, one that is undone among them, the file always names one process, whole, that serves for good: never
// one on probation, never one that is gone. It is removed with the last.
func TestPIDFile(t *testing.T) {
	t.Parallel()
	s := startWithPIDFile(t, "99999999\n") // of a process that was killed
	stop, wrong := make(chan struct{}), make(chan []int)
	go func() { // ends with the upgrades
		var list []int
		for {
			select {
			case <-stop:
				wrong <- list
				return
			default:
			}
			// A predecessor whose file was replaced between the two looks may be gone by the second.
			if pid := s.named(); pid <= 0 || !alive(pid) && s.named() == pid {
				list = append(list, pid)
			}
			time.Sleep(time.Millisecond) // between two looks
		}
	}()
	old := s.cmd.Process.Pid
	if got := s.named(); got != old {
		t.Errorf("at readiness the file names %d, want %d", got, old)
	}
	for round := range 3 {
		s.behave("")
		s.signal(old, syscall.SIGHUP)
		eventually(t, "the successor on probation", func() bool { return pidOf(t, s.addr) != old })
		heir := pidOf(t, s.addr)
		if got := s.named(); got != old && state(s) == "probation" {
			t.Errorf("on probation the file names %d, want %d", got, old)
		}
		eventually(t, "the predecessor gone", func() bool { return !alive(old) })
		if got := s.named(); got != heir {
			t.Errorf("after the commit the file names %d, want %d", got, heir)
		}
		old = heir

		s.behave("panic=10ms") // long before its probation ends
		s.signal(old, syscall.SIGHUP)
		eventually(t, "the rollback", func() bool { return strings.Count(s.log(), "handover undone") > round && len(s.pids()) == 1 })
		if got := s.named(); got != old {
			t.Errorf("after a rollback the file names %d, want %d", got, old)
		}
	}
	close(stop)
	if list := <-wrong; len(list) > 0 {
		t.Errorf("the file named %v: nobody, or half of a process", list)
	}
	s.signal(old, syscall.SIGTERM)
	eventually(t, "all gone", func() bool { return len(s.pids()) == 0 })
	if left, _ := os.ReadDir(filepath.Join(s.dir, "run")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func state(s *server) string {
	v, err := get(s.addr, "/state")
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

// TestPIDFileOfAnother: a file that names somebody else by now is left alone.
func TestPIDFileOfAnother(t *testing.T) {
	t.Parallel()
	s := startWithPIDFile(t, "")
	if err := os.WriteFile(filepath.Join(s.dir, "run", "server.pid"), []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.signal(s.cmd.Process.Pid, syscall.SIGTERM)
	s.waitEnd(15 * time.Second)
	if got := s.named(); got != 1 {
		t.Errorf("the file names %d, want 1", got)
	}
}

// TestPIDFileCannotBeWritten: generation 1 says so instead of serving without it.
func TestPIDFileCannotBeWritten(t *testing.T) {
	t.Parallel()
	s := start(t, "supervised", "GRACE_TEST_PIDFILE=missing/server.pid")
	s.waitLog("declare readiness: write pid file " + filepath.Join(s.dir, "missing/server.pid"))
	<-s.done
}

// TestPIDFileOrphan: a successor whose predecessor dies on probation has nobody to go back to: the file names it.
func TestPIDFileOrphan(t *testing.T) {
	t.Parallel()
	s := startWithPIDFile(t, "", "GRACE_TEST_PROBATION=10s")
	old := s.cmd.Process.Pid
	s.signal(old, syscall.SIGHUP)
	s.waitLog("standing by")
	heir := pidOf(t, s.addr)
	s.signal(old, syscall.SIGKILL)
	eventually(t, "the file to name the orphan", func() bool { return s.named() == heir })
}

// TestPIDFileResurrected: a predecessor that serves again names itself again.
func TestPIDFileResurrected(t *testing.T) {
	t.Parallel()
	s := startWithPIDFile(t, "", "GRACE_TEST_PROBATION=50ms")
	old := s.cmd.Process.Pid
	slow := make(chan error, 1)
	go func() { // keeps the predecessor draining
		_, err := get(s.addr, "/hello?sleep=3")
		slow <- err
	}()
	eventually(t, "the slow request in flight", func() bool { return established(t, s.addr) >= 1 })
	s.signal(old, syscall.SIGHUP)
	s.waitLog("msg=draining")
	heir := s.named()
	if heir == old {
		t.Fatal("the file names the predecessor after the commit")
	}
	s.behave("exit") // what the predecessor then starts does not come up
	s.signal(heir, syscall.SIGKILL)
	eventually(t, "the file to name the predecessor again", func() bool { return s.named() == old })
	if err := <-slow; err != nil {
		t.Error(err)
	}
}
