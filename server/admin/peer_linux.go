package admin

import (
	"golang.org/x/sys/unix"

	"github.com/moult-go/moult/updater"
)

// credentials are those that the other side had when it connected.
func credentials(fd int) (updater.Asker, error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return updater.Asker{}, err
	}
	return updater.Asker{UID: int(c.Uid), PID: int(c.Pid)}, nil
}
