//go:build unix

package grace

import (
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// noDescriptor is what a frame without a descriptor brings.
const noDescriptor = -1

// A rightsReader reads frames and keeps the one descriptor that a frame may carry. A descriptor comes with the first bytes of
// its frame, and readMessage never reads past the end of one, so it belongs to the frame that was read last.
type rightsReader struct {
	conn net.Conn
	got  int
}

func (r *rightsReader) Read(b []byte) (int, error) {
	uc, ok := r.conn.(*net.UnixConn)
	if !ok {
		return r.conn.Read(b)
	}
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := uc.ReadMsgUnix(b, oob) // close-on-exec is set
	if oobn > 0 {
		r.keep(oob[:oobn])
	}
	return n, err
}

func (r *rightsReader) keep(oob []byte) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			r.drop()
			r.got = fd
		}
	}
}

// take gives the descriptor away: noDescriptor if there was none, or if this process may not have one more.
func (r *rightsReader) take() int {
	fd := r.got
	r.got = noDescriptor
	return fd
}

// drop closes what nobody took.
func (r *rightsReader) drop() {
	if fd := r.take(); fd != noDescriptor {
		unix.Close(fd)
	}
}

// sendConn sends m with a copy of conn's descriptor, and never waits: an error means that the other side has nothing of it, or nothing to
// read any more. The number of descriptors on their way is limited, by the socket's buffer and for each user.
func (l *link) sendConn(m message, conn syscall.Conn) error {
	frame, err := m.frame()
	if err != nil {
		return err
	}
	out, ok := l.conn.(syscall.Conn)
	if !ok {
		return fmt.Errorf("send %s: not a socket", m.kind)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	link, err := out.SyscallConn()
	if err != nil {
		return fmt.Errorf("send %s: %w", m.kind, err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("send %s: %w", m.kind, err)
	}
	var n int
	var sendErr error
	err = raw.Control(func(fd uintptr) {
		err := link.Control(func(to uintptr) {
			n, sendErr = unix.SendmsgN(int(to), frame, unix.UnixRights(int(fd)), nil, unix.MSG_DONTWAIT)
		})
		if err != nil {
			sendErr = err
		}
	})
	if err == nil {
		err = sendErr
	}
	if err == nil && n < len(frame) { // the descriptor is on its way: so must be the rest
		if err = l.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err == nil {
			_, err = l.conn.Write(frame[n:])
		}
		if err != nil {
			l.close()
		}
	}
	if err != nil {
		return fmt.Errorf("send %s: %w", m.kind, err)
	}
	return nil
}

// spare is how many descriptors an adopting process keeps for other things: to accept, to answer a health check, to start a successor.
const spare = 32

// scarce reports whether few descriptors are left: the kernel gives the lowest free number, so a high one says so.
func scarce(conn net.Conn) (yes bool) {
	var limit unix.Rlimit
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil || unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return false
	}
	raw.Control(func(fd uintptr) { yes = uint64(fd)+spare > uint64(limit.Cur) })
	return yes
}

// connFromDescriptor takes over the descriptor of a connected socket.
func connFromDescriptor(fd int) (net.Conn, error) { return fileConn(fd) }
