//go:build unix

package grace_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSecondStart: another start of the same program, in whatever state the first is, neither gets the path nor takes it.
func TestSecondStart(t *testing.T) {
	t.Parallel()
	s := startPlan(t, t.TempDir(), nil, "open tcp 127.0.0.1:0", "open unix web.sock")
	addr := s.addrs(1)[0]
	path := filepath.Join(s.dir, "web.sock")
	s.refuseSecond(path)
	s.plan("open tcp 127.0.0.1:0", "open unix web.sock")
	verdict := make(chan string, 1)
	go func() {
		v, err := get(addr, "/upgrade")
		verdict <- v + errText(err)
	}()
	s.waitLog("standing by")
	s.refuseSecond(path)
	if v := <-verdict; v != "ok" {
		t.Fatalf("verdict %q", v)
	}
	s.waitEnd(20 * time.Second)
	s.refuseSecond(path)
	if got := s.askAt(path, "/generation"); got != "2" {
		t.Errorf("generation %s answers", got)
	}
}

func (s *server) refuseSecond(path string) {
	s.t.Helper()
	before, err := os.Lstat(path)
	if err != nil {
		s.t.Fatal(err)
	}
	second := startPlan(s.t, s.t.TempDir(), nil, "open unix "+path)
	select {
	case <-second.done:
	case <-time.After(20 * time.Second):
		s.t.Fatal("the second start serves")
	}
	if !strings.Contains(second.log(), "address already in use") || second.cmd.ProcessState.Success() {
		s.t.Errorf("the second start: %s, %s", second.cmd.ProcessState, second.log())
	}
	if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
		s.t.Errorf("the second start took the path: %v", err)
	}
}

// TestPathOfSomebodyElse: what was put in the place of our socket is not ours to remove, in no generation, whether the
// socket is dropped or served to the end; and that nothing answers there is no verdict on a successor.
func TestPathOfSomebodyElse(t *testing.T) {
	t.Parallel()
	s := startPlan(t, t.TempDir(), nil, "open tcp 127.0.0.1:0", "open unix served.sock", "open unix dropped.sock")
	addr := s.addrs(1)[0]
	for _, name := range []string{"served.sock", "dropped.sock"} {
		path := filepath.Join(s.dir, name)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		other, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
	}
	s.plan("open tcp 127.0.0.1:0", "open unix served.sock")
	s.upgradeAt(addr)
	s.waitEnd(20 * time.Second)
	s.stopAt(addr)
	for _, name := range []string{"served.sock", "dropped.sock"} {
		if _, err := os.Lstat(filepath.Join(s.dir, name)); err != nil {
			t.Errorf("the other server's path is gone: %v", err)
		}
	}
}

// stopAt stops the generation that serves at addr, and waits until no process is left.
func (s *server) stopAt(addr string) {
	s.t.Helper()
	s.signal(pidOf(s.t, addr), syscall.SIGTERM)
	eventually(s.t, "every process gone", func() bool { return len(s.pids()) == 0 })
}

// TestRelativePath: a program may leave the directory that its path begins in, and reaches its socket nevertheless: for the
// probation's requests, and for removing it at the end.
func TestRelativePath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	s := startPlan(t, dir, nil, "open unix web.sock", "open tcp 127.0.0.1:0", "chdir sub")
	inSub := &server{t: t, dir: sub, done: s.done} // where the processes are found
	t.Cleanup(func() {
		for _, pid := range inSub.pids() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	addr := s.addrs(1)[1]
	for g := 2; g <= 3; g++ {
		s.upgradeAt(addr)
		s.addrs(g)
		if got := s.askAt(filepath.Join(dir, "web.sock"), "/generation"); got != fmt.Sprint(g) {
			t.Errorf("generation %s answers", got)
		}
	}
	inSub.stopAt(addr)
	if _, err := os.Lstat(filepath.Join(dir, "web.sock")); !os.IsNotExist(err) {
		t.Errorf("the last owner left it: %v", err)
	}
}

// TestAbstractName: it belongs to no file.
func TestAbstractName(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/net/unix"); err != nil {
		t.Skip("needs Linux: ", err)
	}
	name := fmt.Sprintf("@grace-test-%d", os.Getpid())
	s := startPlan(t, t.TempDir(), nil, "open unix "+name)
	for g := 2; g <= 3; g++ {
		s.addrs(g - 1)
		s.upgradeAt(name)
		if got := s.askAt(name, "/generation"); got != fmt.Sprint(g) {
			t.Errorf("generation %s answers", got)
		}
	}
}
