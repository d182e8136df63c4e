package admin

import (
	"golang.org/x/sys/unix"

	"github.com/moult-go/moult/updater"
)

// solLocal is the level of the options of Unix sockets: SOL_LOCAL of sys/un.h.
const solLocal = 0

// credentials are those that the other side had when it connected.
func credentials(fd int) (updater.Asker, error) {
	c, err := unix.GetsockoptXucred(fd, solLocal, unix.LOCAL_PEERCRED)
	if err != nil {
		return updater.Asker{}, err
	}
	pid, err := unix.GetsockoptInt(fd, solLocal, unix.LOCAL_PEERPID)
	if err != nil {
		return updater.Asker{}, err
	}
	return updater.Asker{UID: int(c.Uid), PID: pid}, nil
}
