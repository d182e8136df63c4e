package grace

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// The kernel tears memory down before it closes descriptors and wakes a parent: about 0.4 s for each GB. The
// flags of the process say at once that it is on its way (include/linux/sched.h).
const (
	pfExiting  = 0x4   // in exit
	pfPostcore = 0x8   // has dumped core, or waits for a thread that does
	pfDumpcore = 0x200 // dumping core
	pfSignaled = 0x400 // killed by a signal
	dyingFlags = pfExiting | pfPostcore | pfDumpcore | pfSignaled
)

// procfs is where it is mounted. Tests look away from it, to see what a crash costs without.
var procfs = "/proc"

// exitProbe reads the flags of one process. It is opened once: a recycled pid never answers for another.
type exitProbe struct {
	pid int
	f   *os.File // of its first thread
}

func newExitProbe(pid int) exitProbe {
	f, err := os.Open(fmt.Sprintf("%s/%d/stat", procfs, pid))
	if err != nil {
		return exitProbe{} // no procfs: the end of the link must do
	}
	return exitProbe{pid, f}
}

func (p exitProbe) close() {
	if p.f != nil {
		p.f.Close()
	}
}

// exiting reports whether the process has begun to die. That its first thread dies is not enough: execve by another one ends all but the
// caller, which then takes the number of the first. So every thread must be seen to die, one that is not there any more may be that caller,
// and the first is asked again, since a list that began before execve took the numbers over may end after it.
func (p exitProbe) exiting() bool {
	if p.f == nil {
		return false
	}
	first, reaped := p.first()
	if reaped || !first.dying || !p.allDying(first.threads) {
		return reaped
	}
	first, reaped = p.first()
	return reaped || first.dying
}

// first reads the first thread. When the process was reaped, the others must not be looked for: their number may be that of another process.
func (p exitProbe) first() (stat taskStat, reaped bool) {
	var buf [1024]byte
	n, err := p.f.ReadAt(buf[:], 0)
	if n == 0 && err != nil {
		return taskStat{}, true
	}
	return parseTaskStat(buf[:n]), false
}

// allDying reports whether the process has n threads, and each is dying. None are counted of one that is being released.
func (p exitProbe) allDying(n int) bool {
	tasks := fmt.Sprintf("%s/%d/task/", procfs, p.pid)
	dying := map[string]bool{} // a list may name a thread twice, before and after execve took its number over
	threads, _ := os.ReadDir(tasks)
	for _, thread := range threads {
		stat, err := os.ReadFile(tasks + thread.Name() + "/stat")
		if err != nil || !parseTaskStat(stat).dying {
			return false
		}
		dying[thread.Name()] = true
	}
	return n > 0 && len(dying) >= n
}

// taskStat is what one line of /proc/PID/stat, or /proc/PID/task/TID/stat, tells.
type taskStat struct {
	dying   bool
	threads int // of the process
}

// parseTaskStat reads "pid (name) state ppid pgrp session tty tpgid flags …"; the twentieth is the number of threads. The name may hold
// anything, even parentheses. State X is no sign: the thread whose number another one takes has it for a moment.
func parseTaskStat(stat []byte) (s taskStat) {
	end := bytes.LastIndexByte(stat, ')')
	fields := bytes.Fields(stat[end+1:])
	if end < 0 || len(fields) < 18 {
		return s
	}
	flags, err := strconv.ParseUint(string(fields[6]), 10, 64)
	if err != nil {
		return s
	}
	s.dying = string(fields[0]) == "Z" || string(fields[0]) != "X" && flags&dyingFlags != 0
	s.threads, _ = strconv.Atoi(string(fields[17]))
	return s
}
