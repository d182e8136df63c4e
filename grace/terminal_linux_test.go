package grace_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// onTerminal starts the program as the leader of a session on a terminal of its own, with all its output there.
func onTerminal(t *testing.T) (s *server, terminal *os.File) {
	t.Helper()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("needs a pseudo-terminal: ", err)
	}
	t.Cleanup(func() { terminal.Close() })
	raw, err := terminal.SyscallConn() // Fd would make Close wait for the reader
	if err != nil {
		t.Fatal(err)
	}
	var n int
	raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			n, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, terminal) // ends with the terminal
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("needs a pseudo-terminal: ", err)
	}
	defer tty.Close()
	cmd := exec.Command("sh", "-c", `exec "$0" >&0 2>&0`, executable(t))
	cmd.Stdin = tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	return launch(t, t.TempDir(), cmd, "full", "GRACE_TEST_PROBATION=200ms"), terminal
}

// TestTerminalCloses: the HUP of a terminal that closes is one like any other. The handover runs, though all that the generations write
// fails from then on (EIO), and so does the next one.
func TestTerminalCloses(t *testing.T) {
	t.Parallel()
	s, terminal := onTerminal(t)
	s.waitUp()
	pid := s.servingPID()
	terminal.Close()
	for range 2 {
		eventually(t, "the next generation alone", func() bool { return pidOf(t, s.addr) != pid && len(s.pids()) == 1 })
		pid = s.servingPID()
		s.signal(pid, syscall.SIGHUP)
	}
	eventually(t, "the next generation alone", func() bool { return pidOf(t, s.addr) != pid && len(s.pids()) == 1 })
}

// TestSessionLeaderEnds: when generation 1 leads a session on a terminal, its end is a HUP to all the others there: they hand over
// once more, and the last one, which nobody leads, stays.
func TestSessionLeaderEnds(t *testing.T) {
	t.Parallel()
	s, _ := onTerminal(t)
	s.waitUp()
	first := s.servingPID()
	s.signal(first, syscall.SIGHUP)
	<-s.done
	if !s.cmd.ProcessState.Success() {
		t.Errorf("generation 1: %s", s.cmd.ProcessState)
	}
	eventually(t, "generation 3 alone", func() bool {
		return strings.Contains(s.file("events"), "2: committed 3") && len(s.pids()) == 1
	})
	s.signal(s.servingPID(), syscall.SIGTERM)
	eventually(t, "every process gone", func() bool { return len(s.pids()) == 0 })
}
