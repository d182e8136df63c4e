package grace

import (
	"errors"
	"os"
	"slices"
)

// A heldFile is an open file that travels along the line of processes.
type heldFile struct {
	name    string
	f       *os.File
	claimed bool // false: inherited, and nobody has asked for it yet
}

// File returns the inherited open file of this name, or what open returns, and passes it on to successors: a log, a
// lock, a memfd, a pipe; any descriptor but those of listeners. Asked for again, it returns the same *os.File.
//
// Generations share the open file description: its offset, its O_APPEND, and a lock by flock, which so is never free
// in between. (Locks by fcntl belong to a process, and are not passed on.) Whoever closes the file takes it from later
// successors. Like a socket, a file that nobody asked for is closed at COMMIT, with a warning.
//
// The error is that of open. One open runs at a time, and must not call File.
func (p *Process) File(name string, open func() (*os.File, error)) (*os.File, error) {
	p.opening.Lock()
	defer p.opening.Unlock()
	if f := p.claimFile(name); f != nil {
		return f, nil
	}
	f, err := open()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files = append(p.files, &heldFile{name, f, true})
	return f, nil
}

func (p *Process) claimFile(name string) *os.File {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files = slices.DeleteFunc(p.files, func(h *heldFile) bool { return h.isClosed() })
	for _, h := range p.files {
		if h.name == name {
			h.claimed = true
			return h.f
		}
	}
	return nil
}

// isClosed reports whether the application has closed the file.
func (h *heldFile) isClosed() bool {
	raw, err := h.f.SyscallConn()
	return err != nil || errors.Is(raw.Control(func(uintptr) {}), os.ErrClosed)
}

// forsakeFiles closes the inherited files that nobody claimed until COMMIT.
func (p *Process) forsakeFiles() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files = slices.DeleteFunc(p.files, func(h *heldFile) bool {
		if !h.claimed {
			p.log.Warn("close an inherited file that this version does not ask for", "name", h.name, "path", h.f.Name())
			h.f.Close()
		}
		return !h.claimed
	})
}
