//go:build unix

package role

import (
	"fmt"
	"syscall"
)

// describe names the object behind a descriptor: device and inode, as both ends of an exec see it.
func describe(fd uintptr) (string, error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(int(fd), &st); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d:%d", st.Dev, st.Ino), nil
}

// isDescriptor also asks that the object is a pipe or a socket: those are never found by opening a path.
func isDescriptor(fd int, id string) bool {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return false
	}
	if t := st.Mode & syscall.S_IFMT; t != syscall.S_IFIFO && t != syscall.S_IFSOCK {
		return false
	}
	got, err := describe(uintptr(fd))
	return err == nil && got == id
}

func closeOnExec(fd int) { syscall.CloseOnExec(fd) }
