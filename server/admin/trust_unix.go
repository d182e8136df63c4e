//go:build unix

package admin

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// trusted refuses a directory that is a link, is somebody else's, or that others may write. With
// rootToo, root accepts the directories of every user.
func trusted(dir string, rootToo bool) error {
	fi, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	euid := os.Geteuid()
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && int(st.Uid) != euid && !(rootToo && euid == 0) {
		return fmt.Errorf("%s belongs to user %d, not to %d", dir, st.Uid, euid)
	}
	if fi.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s may be written by others (mode %04o)", dir, fi.Mode().Perm())
	}
	return nil
}

func refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
