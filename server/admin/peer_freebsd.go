package admin

import (
	"golang.org/x/sys/unix"

	"github.com/moult-go/moult/updater"
)

// solLocal is the level of the options of Unix sockets: SOL_LOCAL of sys/un.h.
const solLocal = 0

// credentials are those that the other side had when it connected. Their pid lies in a part of the structure that x/sys leaves out.
func credentials(fd int) (updater.Asker, error) {
	c, err := unix.GetsockoptXucred(fd, solLocal, unix.LOCAL_PEERCRED)
	if err != nil {
		return updater.Asker{}, err
	}
	return updater.Asker{UID: int(c.Uid)}, nil
}
