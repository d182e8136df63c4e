//go:build unix

package updater

import (
	"io"
	"os"
	"syscall"
)

// isLocked reports whether another process holds a lock on file, by fcntl, without taking it. What we may not read
// we cannot ask about.
func isLocked(file string) bool {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	err = syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lock)
	return err == nil && lock.Type != syscall.F_UNLCK
}
