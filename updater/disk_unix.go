//go:build unix

package updater

import (
	"errors"
	"syscall"
)

func isExhausted(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }
