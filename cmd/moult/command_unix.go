//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

var shell = []string{"/bin/sh", "-c"}

// killGroup ends a command and everything that it started.
func killGroup(c *exec.Cmd) error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
