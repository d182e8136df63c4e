//go:build unix

package grace_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// script writes a shell script that may be started in place of a program.
func script(t *testing.T, lines string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+lines+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPredecessorKilledBeforeHello: the successor has the sockets and becomes the only one.
func TestPredecessorKilledBeforeHello(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=300ms")
	s.behave("late")
	s.waitUp()
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	next := s.file("late")
	s.signal(s.cmd.Process.Pid, syscall.SIGKILL)
	<-s.done
	os.WriteFile(filepath.Join(s.dir, "go"), nil, 0o600)
	eventually(t, "the orphan active", func() bool { return s.file("active") == next })
	if got := pidOf(t, s.addr); strconv.Itoa(got) != next {
		t.Errorf("pid %d answers, want %s", got, next)
	}
}

// TestWrappers: a script that becomes the program is one; a script that starts it as a child is refused, and no
// grandchild serves beside us.
func TestWrappers(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, "full")
	s.waitUp()
	got := s.upgrade("?path=" + script(t, `"`+exe+`" "$@"; exit $?`))
	if !strings.HasPrefix(got, "exited|") || !strings.Contains(got, "below pid") {
		t.Errorf("verdict %q", got)
	}
	eventually(t, "no grandchild", func() bool { return len(s.pids()) == 1 })
	if _, err := os.Stat(filepath.Join(s.dir, "web.sock")); err != nil {
		t.Errorf("the grandchild took our socket along: %v", err)
	}
	if got := pidOf(t, s.addr); got != s.cmd.Process.Pid {
		t.Errorf("pid %d answers", got)
	}
	if got := s.upgrade("?path=" + script(t, `exec "`+exe+`" "$@"`)); got != "ok" {
		t.Errorf("verdict %q", got)
	}
	s.waitEnd(15 * time.Second)
}

// TestGrandchildHoldsThePipe: it costs no descriptor of ours.
func TestGrandchildHoldsThePipe(t *testing.T) {
	t.Parallel()
	s := start(t, "full")
	s.waitUp()
	client := dialKeepAlive(t, s.addr)
	path := script(t, "echo no luck >&2; sleep 60 & exit 3")
	before := ""
	for i := range 6 {
		if got := client.get(t, "/upgrade?path="+path); !strings.HasPrefix(got, "exited|exit status 3|no luck") {
			t.Fatalf("verdict %q", got)
		}
		if i == 0 {
			before = client.get(t, "/fds")
		}
	}
	if after := client.get(t, "/fds"); atoi(t, after) > atoi(t, before)+1 {
		t.Errorf("descriptors: %s after the first, %s after the sixth", before, after)
	}
}

// TestNobodyReadsStandardError: the last words of a successor must not kill us.
func TestNobodyReadsStandardError(t *testing.T) {
	t.Parallel()
	s := start(t, "quiet")
	s.waitUp()
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	if got := s.file("undone"); !strings.Contains(got, "cannot read the configuration") { // so the words have been read
		t.Errorf("verdict %q", got)
	}
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	echo(t, c, "still here")
}

// TestWorkingDirectoryMoved: a deploy may take it away; a successor then starts where we are.
func TestWorkingDirectoryMoved(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "release-1")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := startIn(t, dir, "full")
	s.waitUp()
	s.dir = dir + "-old"
	if err := os.Rename(dir, s.dir); err != nil {
		t.Fatal(err)
	}
	if got := s.upgrade(""); got != "ok" {
		t.Errorf("verdict %q", got)
	}
	s.waitEnd(15 * time.Second)
}
