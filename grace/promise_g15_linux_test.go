package grace_test

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// namespaceProgram is PID 1 of a new pid namespace: it mounts the procfs that belongs to it and becomes the program.
func namespaceProgram() {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		log.Fatal(err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		log.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	os.Setenv("GRACE_TEST_PROGRAM", "full")
	log.Fatal(syscall.Exec(exe, os.Args, os.Environ()))
}

// TestPromiseG15: as PID 1 of a container the service is replaced again and again, and the container stays; the control,
// without a parent that stays, ends with the first handover.
func TestPromiseG15(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root for a pid namespace")
	}
	contain := func(t *testing.T, env ...string) *server {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
		s := launch(t, t.TempDir(), cmd, "namespace", append(env, "GRACE_TEST_PROBATION=200ms")...)
		s.waitUp()
		return s
	}
	t.Run("stays", func(t *testing.T) {
		s := contain(t)
		pid := s.servingPID() // as the namespace counts
		upgrades := promised(20)
		for range upgrades {
			pid = s.replace(pid)
			if s.ended() {
				t.Fatal("the namespace has ended")
			}
		}
		// Under the race detector a process takes a second to exit.
		eventually(t, "one child of PID 1, and no zombie", func() bool { return len(childrenOf(s.cmd.Process.Pid)) == 1 })
		rss := residentKB(t, s.cmd.Process.Pid)
		s.signal(s.cmd.Process.Pid, syscall.SIGTERM)
		if got := s.waitStatus(); got != 0 {
			t.Errorf("status %d", got)
		}
		t.Logf("%d of %d upgrades; the parent holds %d KB", upgrades, upgrades, rss)
	})
	t.Run("control without a parent", func(t *testing.T) {
		s := contain(t, "GRACE_TEST_STAY=off")
		s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
		s.waitLog("handed over")
		s.waitStatus()
		if !refuses(s.addr) {
			t.Error("somebody still serves: the control shows nothing")
		}
	})
}

// residentKB is what a process holds in memory of its own.
func residentKB(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "RssAnon:")
	return atoi(t, strings.Fields(rest)[0])
}
