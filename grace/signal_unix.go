//go:build unix

package grace

import (
	"os"
	"syscall"
)

var (
	stopSignals   = []os.Signal{syscall.SIGTERM, syscall.SIGINT}
	hangupSignals = []os.Signal{syscall.SIGHUP, syscall.SIGUSR2}
)
