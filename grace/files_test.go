//go:build unix

package grace_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFilesTravel: each generation writes to the same open file, which generation 1 created (with O_EXCL), at the offset where the
// last one stopped.
func TestFilesTravel(t *testing.T) {
	t.Parallel()
	s := startPlan(t, t.TempDir(), nil, "open tcp 127.0.0.1:0", "file journal", "file old", "file journal")
	addr := s.addrs(1)[0]
	s.plan("open tcp 127.0.0.1:0", "file journal", "file new")
	s.upgradeAt(addr)
	s.addrs(2)
	s.waitLog("close an inherited file that this version does not ask for")
	before := atoi(t, s.askAt(addr, "/fds"))
	s.upgradeAt(addr)
	s.addrs(3)
	for name, want := range map[string]string{
		"journal": "generation 1\ngeneration 1\ngeneration 2\ngeneration 3\n",
		"old":     "generation 1\n",
		"new":     "generation 2\ngeneration 3\n",
	} {
		if got := s.file(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if after := atoi(t, s.askAt(addr, "/fds")); after > before+1 {
		t.Errorf("%d descriptors in generation 2, %d in generation 3", before, after)
	}
}

// TestFilesAtRollback: a version that asks for other files and fails leaves ours as they were, so also a lock.
func TestFilesAtRollback(t *testing.T) {
	t.Parallel()
	s := startPlan(t, t.TempDir(), nil, "open tcp 127.0.0.1:0", "file lock", "lock lock")
	addr := s.addrs(1)[0]
	locked := func() bool {
		f, err := os.Open(filepath.Join(s.dir, "lock"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == syscall.EWOULDBLOCK
	}
	s.plan("open tcp 127.0.0.1:0", "die plan")
	if got := s.askAt(addr, "/upgrade"); !strings.Contains(got, "crashed") {
		t.Fatalf("verdict %q", got)
	}
	if !locked() {
		t.Error("the lock is free after a rollback")
	}
	s.plan("open tcp 127.0.0.1:0", "file lock")
	s.upgradeAt(addr)
	s.addrs(2)
	eventually(t, "generation 1 gone", func() bool { return len(s.pids()) == 1 })
	if !locked() {
		t.Error("the lock did not travel")
	}
}

// TestFilesKeepTheirMode: a pipe in non-blocking mode stays so, here and there.
func TestFilesKeepTheirMode(t *testing.T) {
	t.Parallel()
	s := startPlan(t, t.TempDir(), nil, "open tcp 127.0.0.1:0", "pipe events")
	addr := s.addrs(1)[0]
	s.plan("open tcp 127.0.0.1:0", "pipe events", "die plan")
	s.askAt(addr, "/upgrade")
	if got := s.askAt(addr, "/nonblocking"); got != "true" {
		t.Errorf("non-blocking %s after a failed handover", got)
	}
	s.plan("open tcp 127.0.0.1:0", "pipe events")
	s.upgradeAt(addr)
	s.addrs(2)
	if got := s.askAt(addr, "/nonblocking"); got != "true" {
		t.Errorf("non-blocking %s in generation 2", got)
	}
}
