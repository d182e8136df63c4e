//go:build unix

package grace_test

import (
	"net"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestMainPIDMovesAtCommit: generation 1 says READY=1; at COMMIT the predecessor names the successor, and nobody ever says STOPPING.
func TestMainPIDMovesAtCommit(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := start(t, "full", "NOTIFY_SOCKET="+socket, "GRACE_TEST_PROBATION=200ms")
	s.waitUp()
	next := func() string {
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		buf := make([]byte, 1000)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	if got := next(); got != "READY=1" {
		t.Errorf("at readiness: %q", got)
	}
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	got := next()
	if want := "MAINPID=" + strconv.Itoa(pidOf(t, s.addr)); got != want {
		t.Errorf("at the commit: %q, want %q", got, want)
	}
	if got := next(); got != "BARRIER=1" {
		t.Errorf("after it: %q", got)
	}
	s.waitEnd(15 * time.Second)
	s.signal(pidOf(t, s.addr), syscall.SIGTERM)
	eventually(t, "all gone", func() bool { return len(s.pids()) == 0 })
	conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 1000)); err == nil {
		t.Errorf("%d more bytes were said", n)
	}
}
