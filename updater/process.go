package updater

import "os"

// process names a process for good: numbers are used again, and the machine may have been restarted.
type process struct {
	PID   int    `json:"pid"`
	Start string `json:"start,omitempty"` // since boot, in the kernel's ticks
	Boot  string `json:"boot,omitempty"`
}

func lookUp(pid int) process { return process{pid, startTime(pid), bootID()} }

// lives reports whether that very process is there. One that has ended and was not awaited does not live.
func (p process) lives() bool {
	if p.Boot != bootID() {
		return false
	}
	if p.Start == "" {
		return exists(p.PID)
	}
	return startTime(p.PID) == p.Start
}

func (p process) isSelf() bool { return p.PID == os.Getpid() && p.lives() }
