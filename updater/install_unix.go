//go:build unix

package updater

import (
	"os"
	"syscall"
)

func deviceInode(fi os.FileInfo) (dev, ino uint64) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0
	}
	return uint64(st.Dev), uint64(st.Ino)
}

func ownerOf(fi os.FileInfo) (uid, gid int) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, -1
	}
	return int(st.Uid), int(st.Gid)
}

// isOurs reports that a file belongs to this user and has no other name.
func isOurs(fi os.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid() && st.Nlink == 1
}

// elevated reports whether this process has more rights than the one who started it.
func elevated() bool {
	return os.Getuid() != os.Geteuid() || os.Getgid() != os.Getegid()
}
