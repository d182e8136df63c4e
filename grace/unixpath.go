package grace

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// bindUnix makes a new Unix socket, in the place of one whose server is dead.
func bindUnix(s Socket) (deadlineListener, *unixOwner, error) {
	abstract := s.Address == "" || s.Address[0] == '@'
	if !abstract {
		defer lockDirectory(filepath.Dir(s.Address))() // two starts at a time would take the path from each other
		if err := removeStale(s.Address); err != nil {
			return nil, nil, err
		}
	}
	lc := net.ListenConfig{Control: restrict(s.Mode)}
	l, err := lc.Listen(context.Background(), "unix", s.Address)
	if err != nil {
		return nil, nil, err
	}
	ln := l.(*net.UnixListener)
	// The path belongs to the line of processes, not to this one: closing the listener of a predecessor must
	// not unlink what its successor serves.
	ln.SetUnlinkOnClose(false)
	if abstract {
		return ln, nil, nil
	}
	if s.Mode != 0 {
		if err := os.Chmod(s.Address, s.Mode.Perm()); err != nil {
			ln.Close()
			os.Remove(s.Address)
			return nil, nil, fmt.Errorf("listen on unix %s: %w", s.Address, err)
		}
	}
	return ln, ownUnix(s.Address), nil
}

// removeStale removes the socket file of a dead server: one that refuses connections. A living one stays, and
// bind then says that the address is in use: also while every generation has parked, as the kernel's queue still takes us.
func removeStale(path string) error {
	fi, err := os.Lstat(path)
	if err != nil || fi.Mode().Type() != os.ModeSocket {
		return nil
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
		return nil
	}
	if !errors.Is(err, errRefused) {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the stale socket %s: %w", path, err)
	}
	return nil
}

// A unixOwner remembers which file a Unix socket is, so that only that one is ever removed. The number of an inode
// is not given away as long as a socket is bound to it: who removes the file does so before closing the socket.
type unixOwner struct {
	path string // absolute: the program may change its directory
	file os.FileInfo
}

// ownUnix takes the file at path, which is ours; nil if there is none.
func ownUnix(path string) *unixOwner {
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path // no working directory: the name is all there is
	}
	fi, err := os.Lstat(abs)
	if err != nil {
		return nil
	}
	return &unixOwner{abs, fi}
}

// ownInherited takes the file at path if it is still the one that a predecessor made; nil if somebody has put
// another in its place.
func ownInherited(path, id string) *unixOwner {
	if o := ownUnix(path); o != nil && id != "" && o.id() == id {
		return o
	}
	return nil
}

func (o *unixOwner) id() string { return fileID(o.file) }

// standsAt reports whether the file is found by this name.
func (o *unixOwner) standsAt(name string) bool {
	fi, err := os.Lstat(name)
	return err == nil && os.SameFile(fi, o.file)
}

func (o *unixOwner) unlink() {
	if o.standsAt(o.path) {
		os.Remove(o.path)
	}
}

// sunPath is how long a path may be to be dialed, everywhere.
const sunPath = 103

// dialed is the address by which this very process reaches the gate. The name that a Unix socket was bound to may be
// relative to a directory which the program has left. It is not ok if the file was removed or replaced: whoever answers
// there says nothing about us.
func (g *gate) dialed() (addr net.Addr, ok bool) {
	addr = g.Addr()
	if name := addr.String(); addr.Network() != "unix" || name == "" || name[0] == '@' || g.unit != nil {
		return addr, true
	}
	switch {
	case g.owned == nil || !g.owned.standsAt(g.owned.path):
		return nil, false
	case len(g.owned.path) <= sunPath:
		return &net.UnixAddr{Name: g.owned.path, Net: "unix"}, true
	}
	return addr, g.owned.standsAt(addr.String())
}
