//go:build unix

package doctor

import (
	"os"
	"os/user"
	"strconv"
	"syscall"
)

func ownerOf(fi os.FileInfo) int {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return -1
	}
	return int(st.Uid)
}

// lookUp finds the number of a user, who may be named by it.
func lookUp(name string) (int, error) {
	u, err := user.Lookup(name)
	if err != nil {
		if n, numErr := strconv.Atoi(name); numErr == nil {
			return n, nil
		}
		return 0, err
	}
	return strconv.Atoi(u.Uid)
}
