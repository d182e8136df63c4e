package grace

import (
	"fmt"
	"strconv"
	"strings"
)

// InUseError is what Open returns when a process that runs the same executable holds the address: most often
// a generation that survived its parent, or a predecessor whose supervisor has lost sight of it. errors.Is finds
// syscall.EADDRINUSE in it. It is only known on Linux, and of processes of the same user.
type InUseError struct {
	Network, Address string
	PID              int  // of the process that holds the address
	Generation       int  // of that process; 0 if unknown, as it is of one that had no parent that stays
	Survivor         bool // it had such a parent, which is gone
	Err              error
}

func (e *InUseError) Error() string {
	who := "a process of this program"
	if e.Generation > 0 {
		who = "generation " + strconv.Itoa(e.Generation) + " of this program"
	}
	fate := ""
	if e.Survivor {
		fate = ", which survived its parent"
	}
	return fmt.Sprintf("listen on %s %s: address already in use by %s, pid %d%s: let it serve, or end it with \"kill -TERM %d\" and start again",
		e.Network, e.Address, who, e.PID, fate, e.PID)
}

func (e *InUseError) Unwrap() error { return e.Err }

// A stamp is the name of a file in memory that a generation below a parent holds open.
const (
	stampStart = "grace generation "
	stampMid   = " below "
)

func stampOf(generation, parent int) string {
	return stampStart + strconv.Itoa(generation) + stampMid + strconv.Itoa(parent)
}

// readStamp takes a link in /proc/PID/fd: "/memfd:NAME (deleted)".
func readStamp(link string) (generation, parent int, ok bool) {
	s, ok1 := strings.CutPrefix(link, "/memfd:"+stampStart)
	s, ok2 := strings.CutSuffix(s, " (deleted)")
	g, p, ok3 := strings.Cut(s, stampMid)
	generation, err1 := strconv.Atoi(g)
	parent, err2 := strconv.Atoi(p)
	return generation, parent, ok1 && ok2 && ok3 && err1 == nil && err2 == nil
}
