//go:build !linux

package updater

import (
	"errors"
	"os"
	"syscall"
)

// Without procfs a number is all there is.
func startTime(int) string { return "" }
func bootID() string       { return "" }

func exists(pid int) bool {
	p, err := os.FindProcess(pid)
	if pid <= 0 || err != nil {
		return false
	}
	defer p.Release()
	return p.Signal(syscall.Signal(0)) == nil
}

// image cannot be asked for here.
func image(int) (os.FileInfo, error) { return nil, errors.ErrUnsupported }
