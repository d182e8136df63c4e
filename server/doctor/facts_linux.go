package doctor

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// procfs is where processes are looked at.
const procfs = "/proc"

func hasCapabilities(path string) bool {
	_, err := unix.Lgetxattr(path, "security.capability", nil)
	return err == nil
}

func spaceOf(dir string) *space {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return nil
	}
	return &space{free: st.Bavail * uint64(st.Bsize), nodes: st.Ffree, nodesLimited: st.Files > 0}
}

// unsynchronised asks the kernel whether somebody keeps its clock right.
func unsynchronised() string {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	switch {
	case err != nil: // refused in some containers
		return ""
	case state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0:
		return fmt.Sprintf("the kernel calls its clock unsynchronised (estimated error %d ms)", t.Esterror/1000)
	}
	return ""
}
