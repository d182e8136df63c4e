//go:build unix

package path

import (
	"io/fs"
	"syscall"
)

// openFlags keep an open of what has become a named pipe from waiting for a writer.
const openFlags = syscall.O_NONBLOCK

func deviceInode(fi fs.FileInfo) (dev, ino uint64) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0
	}
	return uint64(st.Dev), uint64(st.Ino)
}
