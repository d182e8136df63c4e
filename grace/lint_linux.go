package grace

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// lint warns, at readiness, of what will hurt the next handover: a listening socket that the program has opened behind
// our back is the commonest reason for a successor's "address already in use".
func (p *Process) lint() {
	p.warnOfUnitSockets()
	known := p.socketInodes()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return // no procfs, no advice
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd < 3 { // 0 to 2 are inherited
			continue
		}
		if v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || v == 0 {
			continue
		}
		var st unix.Stat_t
		if unix.Fstat(fd, &st) != nil || known[st.Ino] {
			continue
		}
		if network, address := boundTo(fd); network != "" {
			p.log.Warn("a listening socket that a successor does not inherit: open it by Process.Open, or the next version gets \"address already in use\"",
				"generation", p.generation, "network", network, "address", address, "fd", fd)
		}
	}
}

// socketInodes lists the sockets that are handed over. Duplicates of one have the same inode.
func (p *Process) socketInodes() map[uint64]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := map[uint64]bool{}
	add := func(c any) {
		if raw, err := c.(syscall.Conn).SyscallConn(); err == nil {
			raw.Control(func(fd uintptr) {
				var st unix.Stat_t
				if unix.Fstat(int(fd), &st) == nil {
					known[st.Ino] = true
				}
			})
		}
	}
	for _, g := range p.gates {
		add(g.ln)
	}
	for _, in := range p.heirlooms {
		add(in.ln)
	}
	for _, h := range p.files {
		add(h.f)
	}
	return known
}

// boundTo describes a socket; network is empty if it is neither TCP nor Unix.
func boundTo(fd int) (network, address string) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return "", ""
	}
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return "tcp", net.JoinHostPort(net.IP(a.Addr[:]).String(), fmt.Sprint(a.Port))
	case *unix.SockaddrInet6:
		return "tcp", net.JoinHostPort(net.IP(a.Addr[:]).String(), fmt.Sprint(a.Port))
	case *unix.SockaddrUnix:
		return "unix", a.Name
	}
	return "", ""
}
