//go:build unix

package grace

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// fileID names a file as every process sees it: device and inode.
func fileID(fi os.FileInfo) string {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// lockPatience is how long a start waits for others in the same directory. Theirs take a millisecond, and what else may hold
// the lock must not keep us from serving.
const lockPatience = 2 * time.Second

// lockDirectory keeps other starts from looking for stale sockets, and from binding, until the function that it returns is called.
// The lock goes with the process and leaves no file. One may not be able to open the directory: then it does nothing.
func lockDirectory(dir string) (unlock func()) {
	f, err := os.Open(dir)
	if err != nil {
		return func() {}
	}
	for end := time.Now().Add(lockPatience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if !errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK) {
			break
		}
	}
	return func() { f.Close() }
}

// restrict narrows the mode of a Unix socket before it is bound: on Linux the file then never lets in more than mode
// says. Elsewhere the call fails, and the chmod after bind has to do.
func restrict(mode os.FileMode) func(network, address string, c syscall.RawConn) error {
	if mode == 0 {
		return nil
	}
	return func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { unix.Fchmod(int(fd), uint32(mode.Perm())) })
	}
}
