//go:build unix

package grace

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/moult-go/moult/grace/role"
)

// A unitSocket is what a service manager said of a socket that it made and holds open too. The file of a Unix one is
// the manager's, and never removed by us.
type unitSocket struct {
	name string // FileDescriptorName=
}

// firstUnitFD is SD_LISTEN_FDS_START.
const firstUnitFD = 3

// mostUnitFDs is far more than any unit has sockets; a larger number was not written by a service manager.
const mostUnitFDs = 1 << 16

// unitFDs counts what a service manager has passed to this very process (sd_listen_fds(3)). The variables may be meant for another
// one: a process that has started us, perhaps, without passing the descriptors on.
func unitFDs() (n int, err error) {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return 0, nil
	}
	count := os.Getenv("LISTEN_FDS")
	if n, err = strconv.Atoi(count); err != nil || n < 0 || n > mostUnitFDs {
		return 0, fmt.Errorf("take the sockets of the service manager: LISTEN_FDS is %.40q", count)
	}
	return n, nil
}

// unitNames reads the names of n descriptors, once: nobody else may take them for his.
func unitNames(n int) []string {
	names := make([]string, n)
	copy(names, strings.Split(os.Getenv("LISTEN_FDNAMES"), ":"))
	for _, name := range []string{"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	return names
}

// takeUnitSockets takes what a service manager has opened for generation 1. Sockets wait for Open, other files for File.
func (p *Process) takeUnitSockets() error {
	first := firstUnitFD
	n, err := unitFDs()
	if role.Current() == role.FirstGeneration { // they were for the parent that stays, which has passed them on
		first, n, err = role.First+1, role.Count()-1, nil
	}
	if err != nil {
		return fmt.Errorf("grace: %w", err)
	}
	if n == 0 {
		return nil
	}
	for fd := first; fd < first+n; fd++ {
		unix.CloseOnExec(fd)
	}
	for i, name := range unitNames(n) {
		fd := first + i
		isSocket, err := checkUnitFD(fd)
		if err != nil {
			return fmt.Errorf("grace: take descriptor %d (%q) of the service manager: %w", fd, name, err)
		}
		f := os.NewFile(uintptr(fd), name)
		if !isSocket {
			p.files = append(p.files, &heldFile{name: name, f: f})
			continue
		}
		ln, err := net.FileListener(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("grace: take descriptor %d (%q) of the service manager: %w", fd, name, err)
		}
		addr := ln.Addr()
		p.heirlooms = append(p.heirlooms, &inherited{index: -1, ln: ln.(deadlineListener), unit: &unitSocket{name},
			socket: Socket{Name: name, Network: addr.Network(), Address: addr.String()}})
	}
	return nil
}

// checkUnitFD refuses the sockets that cannot be listened on.
func checkUnitFD(fd int) (isSocket bool, err error) {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if errors.Is(err, unix.ENOTSOCK) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if kind != unix.SOCK_STREAM {
		return true, errors.New("not a stream socket: the socket unit must say ListenStream= (not ListenDatagram= or ListenSequentialPacket=)")
	}
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return true, err
	}
	if listening == 0 {
		return true, errors.New("a connection, not a listening socket: the socket unit must say Accept=no (not Accept=yes)")
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return true, err
	}
	switch sa.(type) {
	case *unix.SockaddrInet4, *unix.SockaddrInet6, *unix.SockaddrUnix:
		return true, nil
	}
	return true, fmt.Errorf("an address of type %T: the socket unit must say ListenStream= with a port, an address or a path", sa)
}

// warnOfUnitSockets names the sockets of the service manager that nobody serves: their clients wait for ever.
func (p *Process) warnOfUnitSockets() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, in := range p.heirlooms {
		if in.unit != nil {
			p.log.Warn("a socket of the service manager that this version does not listen on: it stays open",
				"generation", p.generation, "name", in.unit.name, "network", in.socket.Network, "address", in.socket.Address)
		}
	}
}

// wantedOfUnit resolves the address of s, if a service manager's socket might be it; nil otherwise. It may ask a name server.
func (p *Process) wantedOfUnit(s Socket) net.Addr {
	p.mu.Lock()
	waiting := slices.ContainsFunc(p.heirlooms, func(in *inherited) bool { return in.unit != nil })
	p.mu.Unlock()
	if !waiting {
		return nil
	}
	if s.Network == "unix" {
		name := s.Address
		if name == "" {
			return nil
		}
		if name[0] != '@' {
			name, _ = filepath.Abs(name)
		}
		return &net.UnixAddr{Name: name, Net: "unix"}
	}
	a, err := net.ResolveTCPAddr(s.Network, s.Address)
	if err != nil || a.Port == 0 {
		return nil
	}
	return a
}

// unitSocketFor finds the service manager's socket for s: by its name, the one whose address is right before others; else by what it
// really is. It returns -1 for none. The unit may choose another address, but no TCP port for what is to be a file: whose
// mode may be all that guards it.
func unitSocketFor(list []*inherited, s Socket, want net.Addr) int {
	best, rank := -1, 0
	for i, in := range list {
		if in.unit == nil {
			continue
		}
		r := 0
		if want != nil && isBoundTo(in.ln, s.Network, want) {
			r = 1
		}
		if s.Name != "" && in.unit.name == s.Name && (in.socket.Network == "unix") == (s.Network == "unix") {
			r += 2
		}
		if r > rank {
			best, rank = i, r
		}
	}
	return best
}

// isBoundTo reports whether net.Listen would have bound ln for this network and address.
func isBoundTo(ln deadlineListener, network string, want net.Addr) bool {
	if want.Network() == "unix" {
		have := ln.Addr()
		return have.Network() == "unix" && have.String() == want.String()
	}
	have, ok := ln.Addr().(*net.TCPAddr)
	w := want.(*net.TCPAddr)
	if !ok || have.Port != w.Port || have.Zone != w.Zone {
		return false
	}
	if w.IP != nil && !w.IP.IsUnspecified() {
		return have.IP.Equal(w.IP)
	}
	// A wildcard: which family it covers, and whether both, only the kernel knows.
	switch v6, both := family(ln); network {
	case "tcp4":
		return have.IP.IsUnspecified() && !v6
	case "tcp6":
		return have.IP.IsUnspecified() && v6 && !both
	default:
		return have.IP.IsUnspecified() && (both || !v6 && !hasIPv6())
	}
}

// family reports whether a TCP socket is of IPv6, and whether that takes IPv4 as well.
func family(ln deadlineListener) (v6, both bool) {
	raw, err := ln.(syscall.Conn).SyscallConn()
	if err != nil {
		return false, false
	}
	raw.Control(func(fd uintptr) {
		if sa, err := unix.Getsockname(int(fd)); err == nil {
			_, v6 = sa.(*unix.SockaddrInet6)
		}
		if v6 {
			only, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
			both = err == nil && only == 0
		}
	})
	return v6, both
}

// hasIPv6 reports whether this machine can make such sockets at all; without, ":80" is that of IPv4.
func hasIPv6() bool {
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		ln.Close()
	}
	return err == nil
}
