//go:build unix

package updater

import (
	"fmt"
	"syscall"
	"time"
)

// execute makes this process that of another executable: the supervisor goes on with the same pid.
func execute(path string, args, env []string) error {
	var err error
	for wait := time.Millisecond; wait < 256*time.Millisecond; wait *= 2 {
		if err = syscall.Exec(path, args, env); !isTextBusy(err) {
			break
		}
		time.Sleep(wait)
	}
	return fmt.Errorf("execute %s, the previous version, which is back: %w; start it again", path, err)
}
