package grace

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

type controlSocket = *net.UnixConn

// join takes the control socket, and tells the parent that stays of this process. Without the parent it is none the worse.
func (p *Process) join(fd int) {
	l, err := p.introduce(fd)
	if err != nil {
		p.log.Warn("the parent that stayed is gone: serving without one", "generation", p.generation, "err", err)
		return
	}
	p.parent = l
	p.stamp()
}

func (p *Process) introduce(fd int) (*parentLink, error) {
	conn, err := fileConn(fd)
	if err != nil {
		return nil, fmt.Errorf("inherit the control socket: %w", err)
	}
	control, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("inherit the control socket: it is a %T", conn)
	}
	ours, theirs, err := socketpair()
	if err != nil {
		control.Close()
		return nil, err
	}
	defer unix.Close(theirs)
	var frame bytes.Buffer
	writeMessage(&frame, newMessage(msgHere, "pid", strconv.Itoa(os.Getpid()), "generation", strconv.Itoa(p.generation)))
	if _, _, err := control.WriteMsgUnix(frame.Bytes(), unix.UnixRights(theirs), nil); err != nil {
		ours.Close()
		control.Close()
		return nil, fmt.Errorf("send %s: %w", msgHere, err)
	}
	return &parentLink{control: control, link: newLink(ours)}, nil
}

// stamp marks this process for a cold start that finds it (holder.go): a file in memory, with a name that others
// of this user can read in /proc/PID/fd. It is closed by the end of the process.
func (p *Process) stamp() {
	if _, err := unix.MemfdCreate(stampOf(p.generation, p.parent.pid()), unix.MFD_CLOEXEC); err != nil {
		p.log.Debug("mark this process", "err", err)
	}
}

// pid is that of the parent: the kernel keeps who made a socketpair.
func (l *parentLink) pid() int {
	raw, err := l.control.SyscallConn()
	if err != nil {
		return 0
	}
	var maker *unix.Ucred
	raw.Control(func(fd uintptr) { maker, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err != nil || maker == nil {
		return 0
	}
	return int(maker.Pid)
}

// reap calls wait, which reaps a successor, and tells the parent of the status, which nobody else can read any more. It is not
// begun once leave was called: then the parent adopts the dead, and reads it by itself.
func (l *parentLink) reap(pid int, wait func() *os.ProcessState) {
	if l == nil {
		wait()
		return
	}
	for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	l.reaping.Lock()
	defer l.reaping.Unlock()
	status := wait()
	if status == nil {
		return
	}
	n := exitStatus(status.Sys().(syscall.WaitStatus))
	l.link.send(newMessage(msgEnded, "pid", strconv.Itoa(pid), "status", strconv.Itoa(n)))
}

// leave is the end of this process: it waits for what is being reaped, and nothing is from then on.
func (l *parentLink) leave() {
	if l != nil {
		l.reaping.Lock()
	}
}

// obey raises the signals that the parent passes on, for whoever in this program waits for them. It ends with the parent.
func (p *Process) obey() {
	go p.parent.link.read()
	for m := range p.parent.link.in {
		n, err := strconv.Atoi(m.get("number"))
		if m.kind != msgSignal || err != nil {
			continue
		}
		if err := syscall.Kill(os.Getpid(), syscall.Signal(n)); err != nil {
			p.log.Warn("raise a signal that the parent passed on", "signal", n, "err", err)
		}
	}
	p.parent.gone.Store(true)
	p.log.Warn("the parent that stayed is gone: serving on", "generation", p.generation)
}

// duplicate copies the control socket for a successor, if there is still a parent at its other end.
func (l *parentLink) duplicate() (fd uintptr, ok bool) {
	if l == nil || l.gone.Load() {
		return 0, false
	}
	fd, err := duplicate(l.control)
	return fd, err == nil
}
