//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"syscall"
)

// openFlags keeps the opening of a named pipe from waiting for its other side.
const openFlags = syscall.O_NONBLOCK

// etag names the content of a file without reading it. Two things change it: a new file at the name (another
// inode, or the same one with another time), and a write (size, or modification time in nanoseconds). It is a strong tag as far
// as the file system's clock is fine enough to tell two writes of the same length apart, which is what every
// static file server assumes; files that are replaced by rename, as they should be, are always told apart.
func etag(fi fs.FileInfo) string {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf(`"%x-%x-%x"`, st.Ino, fi.Size(), fi.ModTime().UnixNano())
}
