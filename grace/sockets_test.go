//go:build unix

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

// TestSocketThatTheSuccessorDrops: after COMMIT the predecessor accepts on it no more, or it would never have drained.
func TestSocketThatTheSuccessorDrops(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=200ms", "GRACE_TEST_DRAIN=-1s")
	s.waitUp()
	extra := s.open()
	for i := range 8 {
		path := "/hello?sleep=0." + strconv.Itoa(11+7*i) // never all at once
		go func() {                                      // ends when the socket does
			for err := error(nil); err == nil; {
				_, err = get(extra, path)
			}
		}()
	}
	if got := s.upgrade(""); got != "ok" {
		t.Fatalf("verdict %q", got)
	}
	s.waitEnd(8 * time.Second)
}

// open makes generation 1 listen on one socket more.
func (s *server) open() string {
	s.t.Helper()
	addr, err := get(s.addr, "/open")
	if err != nil {
		s.t.Fatal(err)
	}
	return addr
}

// TestClosedListenerIsNoVerdict: a listener that the program closed says nothing about a successor.
func TestClosedListenerIsNoVerdict(t *testing.T) {
	t.Parallel()
	s := start(t, "full")
	s.waitUp()
	s.open()
	if _, err := get(s.addr, "/close"); err != nil {
		t.Fatal(err)
	}
	if got := s.upgrade(""); got != "ok" {
		t.Errorf("verdict %q", got)
	}
	s.waitEnd(15 * time.Second)
}

// TestListenerOpenedDuringHandover: the successor does not have it, so it is ours until COMMIT.
func TestListenerOpenedDuringHandover(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=2s")
	s.behave("late")
	s.waitUp()
	verdict := s.askUpgrade("")
	s.file("late")
	extra := s.open()
	os.WriteFile(filepath.Join(s.dir, "go"), nil, 0o600)
	s.waitLog("standing by")
	if got := pidOf(t, extra); got != s.cmd.Process.Pid {
		t.Errorf("pid %d answers", got)
	}
	if v := <-verdict; v != "ok" {
		t.Errorf("verdict %q", v)
	}
	s.waitEnd(15 * time.Second)
}

// TestShortOfDescriptors: that this process cannot ask is no verdict on the successor.
func TestShortOfDescriptors(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=1500ms", "GRACE_TEST_DRAIN=1s")
	s.waitUp()
	ours := dialKeepAlive(t, s.addr)
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	s.waitLog("standing by")
	ours.get(t, "/tight")
	s.waitEnd(15 * time.Second)
	if !strings.Contains(s.log(), "handed over") {
		t.Error("not handed over")
	}
}
