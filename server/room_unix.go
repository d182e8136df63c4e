//go:build unix

package server

import (
	"math"
	"syscall"
)

// descriptors is how many this process may have: the Go runtime has raised the limit as far as it goes. 0: unknown.
func descriptors() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return int(min(uint64(limit.Cur), math.MaxInt32))
}
