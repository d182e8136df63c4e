//go:build unix

package grace

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// isStandard reports whether descriptor fd (0 to 2) is what it is meant to be. A program that has closed it may have
// got the number again for a file or a connection: those carry close-on-exec, as everything has that Go opens,
// while neither an inherited descriptor does nor one that was put there by dup2. At the start the runtime fills
// gaps with /dev/null.
func isStandard(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}

// standard duplicates descriptors 0 to 2 for a successor, with /dev/null in the place of what is not there.
func standard() (fds []uintptr, err error) {
	for fd := range 3 {
		var dup int
		if isStandard(fd) {
			dup, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		} else {
			dup, err = unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
		}
		if err != nil {
			return fds, fmt.Errorf("duplicate descriptor %d: %w", fd, err)
		}
		fds = append(fds, uintptr(dup))
	}
	return fds, nil
}
