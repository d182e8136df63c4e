//go:build unix

package grace

import "syscall"

var errRefused = syscall.ECONNREFUSED
