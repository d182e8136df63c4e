package updater

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// dieWithUs lets the kernel kill the child when we die: nobody else would watch its time.
func dieWithUs(cmd *exec.Cmd) { cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL }

// room is the address space, in bytes, that a staging child may take beside what follows from signed sizes: most of it is what Go
// and C reserve and never use.
const room = 512 << 20

// lowerSelf makes this staging child the first to go when memory is short, and bounds what it may take: address space by
// what it has (Go reserves much at the start), four times the executable and some room; a file by the longest
// that it is to write; no core dump, which would hold the executable again.
func lowerSelf(j stageJob) error {
	// Refused in some containers; the bounds below are what counts.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	if err := limit(unix.RLIMIT_CORE, 0); err != nil {
		return err
	}
	if err := limit(unix.RLIMIT_FSIZE, uint64(j.longest())); err != nil {
		return err
	}
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return nil // no procfs, no bound
	}
	var pages uint64
	if _, err := fmt.Sscan(string(b), &pages); err != nil {
		return fmt.Errorf("read /proc/self/statm: %w", err)
	}
	return limit(unix.RLIMIT_AS, pages*uint64(os.Getpagesize())+4*uint64(j.most())+room)
}

// most is the most bytes that the executable may have.
func (j stageJob) most() int64 { return max(j.decoding().Most(), 0) }

// longest is the length of the longest file that the job writes: the executable, or a copy of what it is made from.
func (j stageJob) longest() int64 {
	fi, err := os.Stat(j.Base)
	if err != nil {
		return j.most()
	}
	return max(j.most(), fi.Size())
}

// limit lowers a limit of this process for good.
func limit(resource int, most uint64) error {
	var lim unix.Rlimit
	if err := unix.Getrlimit(resource, &lim); err != nil {
		return fmt.Errorf("read resource limit %d: %w", resource, err)
	}
	lim.Max = min(lim.Max, most)
	lim.Cur = min(lim.Cur, lim.Max)
	if err := unix.Setrlimit(resource, &lim); err != nil {
		return fmt.Errorf("lower resource limit %d to %d: %w", resource, most, err)
	}
	return nil
}
