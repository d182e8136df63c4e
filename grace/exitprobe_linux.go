package grace

import (
	"bytes"
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
type exitProbe struct{ f *os.File }

func newExitProbe(pid int) exitProbe {
	f, err := os.Open(procfs + "/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return exitProbe{} // no procfs: the end of the link must do
	}
	return exitProbe{f}
}

func (p exitProbe) close() {
	if p.f != nil {
		p.f.Close()
	}
}

// exiting reports whether the process has begun to die.
func (p exitProbe) exiting() bool {
	if p.f == nil {
		return false
	}
	var buf [1024]byte
	n, err := p.f.ReadAt(buf[:], 0)
	if n == 0 && err != nil {
		return true // reaped
	}
	return dying(buf[:n])
}

// dying reads a line of /proc/PID/stat: "pid (name) state ppid pgrp session tty tpgid flags …". The name may hold
// anything, even parentheses.
func dying(stat []byte) bool {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return false
	}
	fields := bytes.Fields(stat[end+1:])
	if len(fields) < 7 {
		return false
	}
	if s := string(fields[0]); s == "Z" || s == "X" {
		return true
	}
	flags, err := strconv.ParseUint(string(fields[6]), 10, 64)
	return err == nil && flags&dyingFlags != 0
}
