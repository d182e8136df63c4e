//go:build unix

package grace

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// waiting reports whether a connection waits to be accepted.
func waiting(ln deadlineListener) bool {
	raw, err := ln.(syscall.Conn).SyscallConn()
	if err != nil {
		return false
	}
	ready := false
	err = raw.Control(func(fd uintptr) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		ready = n > 0 && err == nil
	})
	return ready && err == nil
}
