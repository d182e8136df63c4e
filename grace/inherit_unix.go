//go:build unix

package grace

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moult-go/moult/grace/role"
)

// offerTimeout bounds the wait for the predecessor's first frame, which it sends right after the fork.
const offerTimeout = 10 * time.Second

// inherit takes what the predecessor passed on: the link, standard error, the sockets.
func (p *Process) inherit() error {
	conn, err := fileConn(fdLink)
	if err != nil {
		return fmt.Errorf("grace: inherit the link: %w", err)
	}
	p.up = newLink(conn)
	offer, err := p.up.receive(offerTimeout)
	if err != nil || offer.kind != msgOffer {
		return fmt.Errorf("grace: no offer from the predecessor (%q): %w", offer.kind, err)
	}
	if err := p.readOffer(offer); err != nil {
		m := newMessage(msgFail, "reason", err.Error())
		if errors.Is(err, errIncompatible) {
			m.fields.Set("cause", string(CauseIncompatible))
		}
		p.up.send(m)
		return err
	}
	if err := p.takeStderr(); err != nil {
		return err
	}
	// If the predecessor has died meanwhile, the end of the link says so: we have the sockets, and go on.
	p.up.send(newMessage(msgHello,
		"protocol", strconv.Itoa(protocolVersion), "pid", strconv.Itoa(os.Getpid()), "version", p.o.Version, "moves", "1"))
	p.up.takes[msgConn] = p.adopt
	p.mail = p.up.in
	p.up.takes[msgSecrets] = p.tickets.take
	p.up.takes[msgState] = p.blobs.receive
	p.up.over = func() {
		p.tickets.none()
		p.blobs.none()
		close(p.bereft)
	}
	heard := sync.OnceFunc(func() { close(p.noWayHeard) })
	p.up.takes[msgNoWay] = func(message, int) { heard() }
	freed := sync.OnceFunc(func() { close(p.freed) })
	p.up.takes[msgReleased] = func(message, int) { freed() }
	go p.up.read()
	return nil
}

// readOffer reads an offer of protocol version 1.
func (p *Process) readOffer(offer message) error {
	oldest, _ := strconv.Atoi(offer.get("oldest"))
	newest, _ := strconv.Atoi(offer.get("newest"))
	if oldest > protocolVersion || newest < protocolOldest {
		return fmt.Errorf("grace: the predecessor speaks protocol %d to %d, this program %d to %d: %w",
			oldest, newest, protocolOldest, protocolVersion, errIncompatible)
	}
	var err error
	if p.generation, err = strconv.Atoi(offer.get("generation")); err != nil {
		return fmt.Errorf("grace: read the offer: generation: %w", err)
	}
	ms, err := strconv.ParseInt(offer.get("probation"), 10, 64)
	if err != nil {
		return fmt.Errorf("grace: read the offer: probation: %w", err)
	}
	p.probation = time.Duration(ms) * time.Millisecond
	if p.installPath, p.dir = offer.get("install"), offer.get("dir"); p.installPath == "" {
		p.noPath = errors.New("find the executable: generation 1 could not")
	}
	if offer.get("secrets") != "" {
		p.tickets.expected = make(chan struct{})
	}
	if offer.get("exclusive") != "" {
		p.mustWait = true
		p.predecessor, _ = strconv.Atoi(offer.get("pid"))
	}
	if offer.get("state") != "" {
		p.blobs.expect()
	}
	sockets, files := offer.fields["socket"], offer.fields["file"]
	next, end := fdSockets, role.First+role.Count()
	if next+len(sockets)+len(files) > end {
		return fmt.Errorf("grace: read the offer: %d sockets and %d files described, %d inherited", len(sockets), len(files), end-next)
	}
	if err := p.takeSockets(sockets); err != nil {
		return err
	}
	next += len(sockets)
	if err := p.takeFiles(next, files); err != nil {
		return err
	}
	next += len(files)
	if offer.get("parent") != "" && next < end {
		p.join(next)
		next++
	}
	for ; next < end; next++ { // of kinds that a later release passes on
		unix.Close(next)
	}
	return nil
}

func (p *Process) takeSockets(described []string) error {
	for i, d := range described {
		v, err := url.ParseQuery(d)
		if err != nil {
			return fmt.Errorf("grace: read the offer: socket %d: %w", i, err)
		}
		if !supported(v.Get("network")) { // a later release's, which serves on it until COMMIT
			p.log.Warn("close an inherited socket of a network that this version does not know",
				"network", v.Get("network"), "address", v.Get("address"), "name", v.Get("name"))
			unix.Close(fdSockets + i)
			continue
		}
		f := os.NewFile(uintptr(fdSockets+i), v.Get("address"))
		ln, err := net.FileListener(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("grace: inherit socket %d (%s): %w", i, v.Get("address"), err)
		}
		in := &inherited{index: i, ln: ln.(deadlineListener), socket: Socket{
			Name: v.Get("name"), Network: v.Get("network"), Address: v.Get("address"), Held: v.Get("held") != ""}}
		in.loose = v.Get("loose") != ""
		if v.Get("unit") != "" {
			in.unit = &unitSocket{v.Get("fdname")}
		}
		if path := v.Get("unlink"); path != "" {
			in.owned = ownInherited(path, v.Get("file"))
		}
		p.heirlooms = append(p.heirlooms, in)
	}
	return nil
}

// takeFiles leaves the modes of the descriptors as they are: they are shared with the predecessor.
func (p *Process) takeFiles(first int, described []string) error {
	for i, d := range described {
		v, err := url.ParseQuery(d)
		if err != nil {
			return fmt.Errorf("grace: read the offer: file %d: %w", i, err)
		}
		p.files = append(p.files, &heldFile{name: v.Get("name"), f: os.NewFile(uintptr(first+i), v.Get("path"))})
	}
	return nil
}

// takeStderr puts the real standard error in place of the pipe, which stays open, out of sight, for the output of
// a crash on probation: the predecessor reads our last words there.
func (p *Process) takeStderr() error {
	pipe, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return fmt.Errorf("grace: keep the pipe for last words: %w", err)
	}
	f := os.NewFile(uintptr(pipe), "last words")
	defer f.Close()
	if err := setCrashOutput(f); err != nil {
		return fmt.Errorf("grace: %w", err)
	}
	if err := unix.Dup2(fdStderr, 2); err != nil {
		return fmt.Errorf("grace: take over standard error: %w", err)
	}
	return unix.Close(fdStderr)
}

// claimed lists the offered sockets that the application has asked for, by their place in the offer.
func (p *Process) claimed() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []string
	for _, g := range p.gates {
		if g.index >= 0 {
			list = append(list, strconv.Itoa(g.index))
		}
	}
	slices.Sort(list)
	return list
}
