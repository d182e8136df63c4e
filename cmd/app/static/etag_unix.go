//go:build unix

package static

import (
	"io/fs"
	"strconv"
	"syscall"
	"time"
)

// openFlags keeps the opening of a named pipe from waiting for its other side.
const openFlags = syscall.O_NONBLOCK

// etag names the content of a file without reading it. Two things change it: a new file at the name (another
// inode, or the same one with another time), and a write (size, or modification time in nanoseconds). A file that was written so short a time
// ago that another write might not change its time has a weak one (RFC 9110, 8.8.1): nobody joins halves of it. Files that are replaced
// by rename, as they should be, are always told apart.
func etag(fi fs.FileInfo, now time.Time) string {
	b := make([]byte, 0, 64)
	if now.Sub(fi.ModTime()) < young {
		b = append(b, "W/"...)
	}
	b = append(b, '"')
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		b = strconv.AppendUint(b, uint64(st.Ino), 16)
	}
	b = strconv.AppendInt(append(b, '-'), fi.Size(), 16)
	b = strconv.AppendInt(append(b, '-'), fi.ModTime().UnixNano(), 16)
	return string(append(b, '"'))
}
