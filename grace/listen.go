package grace

import (
	"errors"
	"fmt"
	"net"
	"os"
)

// An inherited socket waits for the application to ask for it by its key.
type inherited struct {
	index  int // its place in the offer
	socket Socket
	ln     deadlineListener
	owned  *unixOwner
}

// Listen is [Process.Open] without a name.
func (p *Process) Listen(network, address string) (net.Listener, error) {
	return p.Open(Socket{Network: network, Address: address})
}

// Open returns the inherited socket of this key, or binds a new one. Accept parks while another generation
// serves, and returns net.ErrClosed once this process will never accept again.
func (p *Process) Open(s Socket) (net.Listener, error) {
	switch s.Network {
	case "tcp", "tcp4", "tcp6", "unix":
	default:
		return nil, fmt.Errorf("listen on %s %s: network not supported, want tcp, tcp4, tcp6 or unix", s.Network, s.Address)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return nil, fmt.Errorf("listen on %s %s: %w", s.Network, s.Address, net.ErrClosed)
	}
	g := p.claim(s)
	if g == nil {
		ln, owned, err := bind(s)
		if err != nil {
			return nil, p.explain(s, err)
		}
		g = newGate(p, s, ln)
		g.owned, g.index = owned, -1
	}
	p.gates = append(p.gates, g)
	if p.accepting[s.Held] {
		g.resume()
	}
	return g, nil
}

// claim takes the first inherited socket of this key. The caller holds p.mu.
func (p *Process) claim(s Socket) *gate {
	for i, in := range p.heirlooms {
		if in.socket.key() == s.key() {
			p.heirlooms = append(p.heirlooms[:i:i], p.heirlooms[i+1:]...)
			g := newGate(p, s, in.ln)
			g.owned, g.index = in.owned, in.index
			return g
		}
	}
	return nil
}

// key identifies a socket over generations. ":80", "0.0.0.0:80" and "[::]:80" are different keys: only the
// kernel knows whether they are the same socket.
func (s Socket) key() string { return s.Network + "\x00" + s.Address + "\x00" + s.Name }

// Inherited returns the first inherited socket of this name that has not been claimed yet.
func (p *Process) Inherited(name string) (Socket, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, in := range p.heirlooms {
		if in.socket.Name == name {
			return in.socket, true
		}
	}
	return Socket{}, false
}

// unserved names the sockets on which nobody accepts: inherited ones that nobody has asked for, and open listeners.
func (p *Process) unserved() (inherited, open []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, in := range p.heirlooms {
		inherited = append(inherited, in.socket.Address)
	}
	for _, g := range p.gates {
		if !g.wanted.Load() && !g.isClosed() {
			open = append(open, g.socket.Address)
		}
	}
	return inherited, open
}

// opened counts the listeners that the application has.
func (p *Process) opened() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.gates)
}

// forsake closes the inherited sockets that nobody claimed until COMMIT. The clients in their queues are reset.
func (p *Process) forsake() {
	p.mu.Lock()
	left := p.heirlooms
	p.heirlooms = nil
	p.mu.Unlock()
	for _, in := range left {
		p.log.Warn("close an inherited socket that this version does not listen on",
			"network", in.socket.Network, "address", in.socket.Address, "name", in.socket.Name)
		if in.owned != nil {
			in.owned.unlink()
		}
		in.ln.Close()
	}
}

// accept opens or parks every gate whose socket is held, or is not.
func (p *Process) accept(held, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accepting[held] = open
	for _, g := range p.gates {
		switch {
		case g.socket.Held != held:
		case open:
			g.resume()
		default:
			g.park()
		}
	}
}

// endGates makes every Accept return net.ErrClosed, for good. The last owner removes the files of its Unix sockets.
func (p *Process) endGates(lastOwner bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for _, g := range p.gates {
		if lastOwner && g.owned != nil {
			g.owned.unlink()
		}
		g.end()
	}
}

// bind makes a new socket.
func bind(s Socket) (deadlineListener, *unixOwner, error) {
	if s.Network == "unix" {
		return bindUnix(s)
	}
	ln, err := net.Listen(s.Network, s.Address)
	if err != nil {
		return nil, nil, err
	}
	return ln.(*net.TCPListener), nil, nil
}

func bindUnix(s Socket) (deadlineListener, *unixOwner, error) {
	abstract := s.Address == "" || s.Address[0] == '@'
	if !abstract {
		if err := removeStale(s.Address); err != nil {
			return nil, nil, err
		}
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.Address, Net: "unix"})
	if err != nil {
		return nil, nil, err
	}
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
// bind then says that the address is in use.
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
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove the stale socket %s: %w", path, err)
	}
	return nil
}

// A unixOwner remembers which file a Unix socket is, so that only that one is ever removed.
type unixOwner struct {
	path string
	file os.FileInfo
}

func ownUnix(path string) *unixOwner {
	fi, err := os.Lstat(path)
	if err != nil {
		return nil
	}
	return &unixOwner{path, fi}
}

func (o *unixOwner) unlink() {
	if fi, err := os.Lstat(o.path); err == nil && os.SameFile(fi, o.file) {
		os.Remove(o.path)
	}
}
