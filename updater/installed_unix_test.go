//go:build unix

package updater

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

func init() { otherProcess["lock"] = holdLock }

// holdLock is a package manager at work: it holds a lock until its standard input ends.
func holdLock() int {
	f, err := os.OpenFile(filepath.Join(os.Getenv("UPDATER_TEST_DIR"), "lock"), os.O_RDWR, 0)
	if err == nil {
		err = syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK})
	}
	fmt.Println(err)
	io.Copy(io.Discard, os.Stdin)
	return 0
}

// TestReplacedWaitsForThePackageManager: it has replaced one file, and may be about to replace others that belong to it.
func TestReplacedWaitsForThePackageManager(t *testing.T) {
	b := newBench(t, nil)
	b.quick()
	free, held := filepath.Join(t.TempDir(), "lock-frontend"), filepath.Join(t.TempDir(), "lock")
	for _, f := range []string{free, held} {
		if err := os.WriteFile(f, nil, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	b.managers = []string{filepath.Join(t.TempDir(), "none"), free, held}
	manager := exec.Command(os.Args[0])
	manager.Env = append(os.Environ(), "UPDATER_TEST_MODE=lock", "UPDATER_TEST_DIR="+filepath.Dir(held))
	input, err := manager.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := manager.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := manager.Start(); err != nil {
		t.Fatal(err)
	}
	defer manager.Wait()
	defer input.Close()
	if said, err := bufio.NewReader(output).ReadString('\n'); err != nil || said != "<nil>\n" {
		t.Fatalf("lock: %q, %v", said, err)
	}
	b.put("another")
	if b.due(false) {
		t.Error("due while the package manager is at work")
	}
	input.Close()
	manager.Wait()
	if !b.due(true) {
		t.Error("not due when it has done")
	}
}
