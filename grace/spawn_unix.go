//go:build unix

package grace

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moult-go/moult/grace/role"
)

// The descriptors of a successor: standard input and output are ours; standard error is a pipe until HELLO;
// then the link, our real standard error, the sockets and the files in the order of the offer, and the control socket of a parent that
// stays.
const (
	fdLink    = role.First
	fdStderr  = role.First + 1
	fdSockets = role.First + 2
)

// spawn starts path as our successor and offers it the sockets and files. It does not wait for an answer.
func (p *Process) spawn(path string, probation time.Duration) (*child, error) {
	if path == "" && p.noPath != nil {
		return nil, p.noPath
	}
	c, err := p.start(path, probation)
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		var limit unix.Rlimit
		unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
		err = fmt.Errorf("not enough descriptors for the sockets of a successor; raise their limit, which is %d (LimitNOFILE= in a unit): %w", limit.Cur, err)
	}
	return c, err
}

// start does all that needs a descriptor before it forks, so that a process that is short of them has no child to take back.
func (p *Process) start(path string, probation time.Duration) (*child, error) {
	offer, passed, err := p.offer(probation)
	defer func() { closeAll(passed) }()
	if err != nil {
		return nil, err
	}
	std, err := standard()
	defer func() { closeAll(std) }()
	if err != nil {
		return nil, err
	}
	ours, theirs, err := socketpair()
	if err != nil {
		return nil, err
	}
	defer unix.Close(theirs)
	words, writer, err := newLastWords()
	if err != nil {
		ours.Close()
		return nil, err
	}
	defer writer.Close()

	// The offer lies in the socket before the successor is born: it has it even if we die right after the fork.
	l := newLink(ours)
	l.takes[msgDeclined] = p.declined
	if err := l.send(offer); err != nil {
		l.close()
		words.abandon()
		return nil, err
	}
	files := append([]uintptr{std[0], std[1], writer.Fd(), uintptr(theirs), std[2]}, passed...)
	mark, err := role.Mark(role.Successor, uintptr(theirs), len(files)-fdLink)
	if err != nil {
		l.close()
		words.abandon()
		return nil, err
	}
	pid, err := forkExec(path, &syscall.ProcAttr{Dir: p.startDir(), Env: append(successorEnv(), mark), Files: files})
	if err != nil {
		l.close()
		words.abandon()
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return newChild(pid, p.generation+1, path, l, words, p.parent), nil
}

// startDir is where a successor starts: where the line of processes did, or where we are if that is gone.
func (p *Process) startDir() string {
	if fi, err := os.Stat(p.dir); p.dir != "" && (err != nil || !fi.IsDir()) {
		p.log.Warn("the working directory is gone: start the successor in ours", "dir", p.dir)
		return ""
	}
	return p.dir
}

// forkExec keeps our own name for the program, argv[0], whatever the path: some behave by it. The child is cloned from
// the calling thread, and inherits what may be that thread's own: capabilities, a seccomp filter, a namespace. That is the thread
// of the goroutine of own, which is locked to none: a program that changes such a thing must do so
// for all its threads, or on a locked one that it lets end. Go itself gives back the limit of
// descriptors that it raised at the start.
//
// It retries while the file is still open for writing somewhere: a descriptor that a concurrent fork
// carried along for a moment (golang/go#22315).
func forkExec(path string, attr *syscall.ProcAttr) (pid int, err error) {
	for wait := time.Millisecond; ; wait *= 2 {
		pid, err = syscall.ForkExec(path, arguments, attr)
		if !errors.Is(err, syscall.ETXTBSY) || wait > 256*time.Millisecond {
			return pid, err
		}
		time.Sleep(wait)
	}
}

// successorEnv is our environment without what another process said to us alone.
func successorEnv() []string {
	var env []string
	for _, e := range os.Environ() {
		switch name, _, _ := strings.Cut(e, "="); name {
		case role.Env, "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID":
		default:
			env = append(env, e)
		}
	}
	return env
}

// offer describes our sockets and files, and duplicates their descriptors, in the same order.
func (p *Process) offer(probation time.Duration) (message, []uintptr, error) {
	m := newMessage(msgOffer,
		"oldest", strconv.Itoa(protocolOldest),
		"newest", strconv.Itoa(protocolVersion),
		"generation", strconv.Itoa(p.generation+1),
		"install", p.installPath,
		"dir", p.dir,
		"secrets", "1",
		"state", "1",
		"pid", strconv.Itoa(os.Getpid()),
		"probation", strconv.FormatInt(probation.Milliseconds(), 10))
	if p.o.Exclusive {
		m.fields.Set("exclusive", "1")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var fds []uintptr
	for _, g := range p.gates {
		g.offered = -1
		if g.hasEnded() {
			continue
		}
		fd, err := duplicate(g.ln)
		if err != nil {
			return m, fds, fmt.Errorf("duplicate the socket of %s: %w", g.socket.Address, err)
		}
		fds = append(fds, fd)
		g.offered = len(fds) - 1
		m.fields.Add("socket", describe(g.socket, g.owned, g.unit).Encode())
	}
	for _, in := range p.heirlooms { // the service manager's; a later version may listen on them
		fd, err := duplicate(in.ln)
		if err != nil {
			return m, fds, fmt.Errorf("duplicate the socket of %s: %w", in.socket.Address, err)
		}
		fds = append(fds, fd)
		s := describe(in.socket, in.owned, in.unit)
		s.Set("loose", "1")
		m.fields.Add("socket", s.Encode())
	}
	for _, h := range p.files {
		fd, err := duplicate(h.f)
		if errors.Is(err, os.ErrClosed) {
			continue // by the application: it does not want it any more
		}
		if err != nil {
			return m, fds, fmt.Errorf("duplicate the file %q: %w", h.name, err)
		}
		fds = append(fds, fd)
		m.fields.Add("file", url.Values{"name": {h.name}, "path": {h.f.Name()}}.Encode())
	}
	if fd, ok := p.parent.duplicate(); ok { // the last of all
		fds = append(fds, fd)
		m.fields.Set("parent", "1")
	}
	return m, fds, nil
}

func describe(s Socket, owned *unixOwner, unit *unitSocket) url.Values {
	v := url.Values{"name": {s.Name}, "network": {s.Network}, "address": {s.Address}}
	if s.Held {
		v.Set("held", "1")
	}
	if owned != nil {
		v.Set("unlink", owned.path)
		v.Set("file", owned.id())
	}
	if unit != nil {
		v.Set("unit", "1")
		v.Set("fdname", unit.name)
	}
	return v
}

// duplicate copies a descriptor without touching its mode: File and Fd would put the live listener
// into blocking mode, and parking would do nothing from then on.
func duplicate(c any) (fd uintptr, err error) {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var dup int
	var dupErr error
	err = raw.Control(func(fd uintptr) { dup, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	return uintptr(dup), errors.Join(err, dupErr)
}

func closeAll(fds []uintptr) {
	for _, fd := range fds {
		unix.Close(int(fd))
	}
}

// socketpair returns our end, and the number of the one that a child gets.
func socketpair() (ours net.Conn, theirs int, err error) {
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, 0, fmt.Errorf("make a socketpair: %w", err)
	}
	if ours, err = fileConn(fds[0]); err != nil {
		unix.Close(fds[1])
		return nil, 0, err
	}
	return ours, fds[1], nil
}

// fileConn takes over the descriptor.
func fileConn(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "link")
	defer f.Close()
	return net.FileConn(f)
}
