//go:build unix

package main

import (
	"os/exec"
	"syscall"
	"time"
)

// ownGroup puts a server and all its generations into one process group, so that all can be ended, and so that Ctrl-C
// on the terminal reaches only us.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// endGroup asks every process of the group to stop, then insists, and returns when none is left.
func endGroup(pgid int, firstDone <-chan struct{}) {
	syscall.Kill(-pgid, syscall.SIGTERM)
	patience := time.Now().Add(3 * time.Second)
	surely := patience.Add(2 * time.Second) // where nobody reaps orphans, the dead stay in the group
	for syscall.Kill(-pgid, 0) == nil && time.Now().Before(surely) {
		if time.Now().After(patience) {
			syscall.Kill(-pgid, syscall.SIGKILL)
		}
		time.Sleep(5 * time.Millisecond) // between two looks
	}
	<-firstDone
}

func sendHangup(pid int) error { return syscall.Kill(pid, syscall.SIGHUP) }
