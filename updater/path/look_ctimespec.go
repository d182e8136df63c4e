//go:build darwin || freebsd || netbsd

package path

import (
	"io/fs"
	"syscall"
	"time"
)

func changeTime(fi fs.FileInfo) time.Time {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return fi.ModTime()
	}
	return time.Unix(st.Ctimespec.Unix())
}
