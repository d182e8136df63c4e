package grace

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"
)

// An inherited socket waits for the application to ask for it by its key.
type inherited struct {
	index  int // its place in the predecessor's offer; -1 if it came from the service manager
	socket Socket
	ln     deadlineListener
	owned  *unixOwner
	unit   *unitSocket // nil unless a service manager made it
	loose  bool        // the predecessor had not claimed it either
}

// Listen is [Process.Open] without a name.
func (p *Process) Listen(network, address string) (net.Listener, error) {
	return p.Open(Socket{Network: network, Address: address})
}

// Open returns the inherited socket of this key, or binds a new one. Accept parks while another generation
// serves, and returns net.ErrClosed once this process will never accept again.
func (p *Process) Open(s Socket) (net.Listener, error) {
	if !supported(s.Network) {
		return nil, fmt.Errorf("listen on %s %s: network not supported, want tcp, tcp4, tcp6 or unix", s.Network, s.Address)
	}
	g, err := p.open(s)
	if err != nil {
		return nil, p.explain(s, err) // it looks through /proc: others must not wait for that
	}
	return g, nil
}

func (p *Process) open(s Socket) (*gate, error) {
	want := p.wantedOfUnit(s)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return nil, fmt.Errorf("listen on %s %s: %w", s.Network, s.Address, net.ErrClosed)
	}
	g := p.claim(s, want)
	if g == nil {
		ln, owned, err := bind(s)
		if err != nil {
			return nil, p.otherKey(s, err)
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

// otherKey names the inherited socket that is at the address: a version may have changed nothing but the key. The caller holds p.mu.
func (p *Process) otherKey(s Socket, err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) || s.Network == "unix" {
		return err
	}
	want, resolveErr := net.ResolveTCPAddr(s.Network, s.Address)
	if resolveErr != nil {
		return err
	}
	for _, in := range p.heirlooms {
		if has, ok := in.ln.Addr().(*net.TCPAddr); ok && has.Port == want.Port {
			return &otherKeyError{in.socket, err}
		}
	}
	return err
}

// otherKeyError is an address in use by a socket that this process has itself.
type otherKeyError struct {
	has Socket
	err error
}

func (e *otherKeyError) Error() string {
	return fmt.Sprintf("%v: the predecessor has passed this socket on: ask for it as it did, by network %q, address %q and name %q",
		e.err, e.has.Network, e.has.Address, e.has.Name)
}

func (e *otherKeyError) Unwrap() error { return e.err }

func supported(network string) bool {
	switch network {
	case "tcp", "tcp4", "tcp6", "unix":
		return true
	}
	return false
}

// claim takes the first inherited socket of this key, else one of the service manager's. The caller holds p.mu.
func (p *Process) claim(s Socket, want net.Addr) *gate {
	i := slices.IndexFunc(p.heirlooms, func(in *inherited) bool { return in.socket.key() == s.key() })
	if i < 0 {
		i = unitSocketFor(p.heirlooms, s, want)
	}
	if i < 0 {
		return nil
	}
	in := p.heirlooms[i]
	p.heirlooms = slices.Delete(p.heirlooms, i, i+1)
	g := newGate(p, s, in.ln)
	g.owned, g.index, g.unit = in.owned, in.index, in.unit
	return g
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

// unserved names the sockets on which nobody accepts: open listeners, and inherited ones that nobody has asked for, without those
// that the predecessor had not claimed either.
func (p *Process) unserved() (inherited, open []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, in := range p.heirlooms {
		if !in.loose {
			inherited = append(inherited, in.socket.Address)
		}
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

// forsake closes what nobody claimed until COMMIT. The clients in the queues are reset. Sockets of the service manager
// stay: it has them open too, and a later version may ask for them.
func (p *Process) forsake() {
	p.mu.Lock()
	var left []*inherited
	p.heirlooms = slices.DeleteFunc(p.heirlooms, func(in *inherited) bool {
		if in.unit == nil {
			left = append(left, in)
		}
		return in.unit == nil
	})
	p.mu.Unlock()
	for _, in := range left {
		p.log.Warn("close an inherited socket that this version does not listen on",
			"network", in.socket.Network, "address", in.socket.Address, "name", in.socket.Name)
		if in.owned != nil {
			in.owned.unlink()
		}
		in.ln.Close()
	}
	p.forsakeFiles()
}

// letGo closes the listeners that the successor has not taken, at COMMIT: nobody would accept there, and a client is
// better refused than left in a queue until we exit.
func (p *Process) letGo(c *child) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range p.gates {
		if !c.claimed[g.offered] {
			if g.offered < 0 && g.owned != nil { // the successor does not know of it
				g.owned.unlink()
			}
			g.end()
		}
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

// endLeft closes the sockets that the application has left to a next start which did not come: a client is better refused than left in a queue.
func (p *Process) endLeft() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range p.gates {
		if g.isClosed() {
			g.end()
		}
	}
}

// bind makes a new socket. One that SO_REUSEPORT puts beside the predecessor's would be no handover: each has a queue of its own,
// and closing one resets the clients in it. So an address that another process listens on is an error.
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
