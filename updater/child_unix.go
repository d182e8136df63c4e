//go:build unix

package updater

import (
	"errors"
	"os/exec"
	"syscall"
)

// hasRoles: descriptors are inherited by number here, so children can be told a role.
const hasRoles = true

func isTextBusy(err error) bool { return errors.Is(err, syscall.ETXTBSY) }

// ownGroup lets the child and what it starts be killed together.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// killGroup ends what a child left behind. Its own number names the group as long as a member lives; with
// none left the call fails, and that is well.
func killGroup(cmd *exec.Cmd) { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
