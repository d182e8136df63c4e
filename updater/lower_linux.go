package updater

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// lowerSelf makes this staging child the first to go when memory is short, and bounds its address space:
// what it has (Go reserves much at the start), four times the signed length and some room.
func lowerSelf(length int64) error {
	// Refused in some containers; the bound below is what counts.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return nil // no procfs, no bound
	}
	var pages uint64
	if _, err := fmt.Sscan(string(b), &pages); err != nil {
		return fmt.Errorf("read /proc/self/statm: %w", err)
	}
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_AS, &lim); err != nil {
		return fmt.Errorf("read the limit of the address space: %w", err)
	}
	const room = 512 << 20
	lim.Cur = min(lim.Max, pages*uint64(os.Getpagesize())+4*uint64(max(length, 0))+room)
	if err := unix.Setrlimit(unix.RLIMIT_AS, &lim); err != nil {
		return fmt.Errorf("limit the address space: %w", err)
	}
	return nil
}
