//go:build unix

package grace

import (
	"fmt"
	"os"
	"syscall"

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
