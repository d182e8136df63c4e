package grace

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moult-go/moult/grace/role"
)

// repeated are the signals that the parent passes on. Those of job control stop and continue it like any process; a terminal sends them to all.
var repeated = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP,
	syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGALRM}

// A parent is the process that stays above all generations. One goroutine, that of run, owns its fields.
type parent struct {
	log      *slog.Logger
	manager  notifySocket
	patience time.Duration // for an orphan that has yet to speak, when no generation is left
	control  *net.UnixConn
	theirs   string // inode of its other end
	signals  chan os.Signal
	died     chan os.Signal // SIGCHLD
	joined   chan *below    // closed when nobody holds the control socket any more
	said     chan word

	first    int              // pid of generation 1
	spoken   bool             // a generation has joined
	living   []*below         // whose link is open, in the order in which they joined
	serving  *below           // of the living
	served   int              // pid of the generation that named itself last
	statuses map[int]int      // how each generation has ended
	last     int              // the status that was learnt last
	kept     []syscall.Signal // while there is nobody to tell
	stop     syscall.Signal   // the stop that was asked for last; 0 if none was
}

// below is a generation, as the parent knows it.
type below struct {
	pid, generation int
	link            *link
	told            bool // of the stop
}

// word is a message from a generation; an empty one is its last.
type word struct {
	from *below
	m    message
}

// becomeParent starts generation 1 and stays: it returns only if that failed.
func becomeParent(log *slog.Logger, patience time.Duration, why string) error {
	p := &parent{log: log, manager: notifySocket(os.Getenv("NOTIFY_SOCKET")), patience: patience,
		signals: make(chan os.Signal, 64), died: make(chan os.Signal, 1),
		joined: make(chan *below), said: make(chan word), statuses: map[int]int{}}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become their subreaper: %w", err)
	}
	for _, s := range repeated {
		if !signal.Ignored(s) {
			signal.Reset(s) // what the program has asked for already is for the generations
			signal.Notify(p.signals, s)
		}
	}
	signal.Notify(p.died, syscall.SIGCHLD)
	if err := p.begin(); err != nil {
		signal.Stop(p.signals)
		signal.Stop(p.died)
		return err
	}
	signal.Ignore(syscall.SIGPIPE) // a log that nobody reads any more is no reason to leave
	log.Info("staying as the parent of all generations", "pid", os.Getpid(), "reason", why, "first", p.first)
	debug.FreeOSMemory()
	go p.listen()
	p.run()
	os.Exit(p.status())
	return nil
}

// begin starts this program again, as generation 1.
func (p *parent) begin() error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the executable: %w", err)
	}
	if exe, err = filepath.EvalSymlinks(exe); err != nil {
		return fmt.Errorf("resolve the executable: %w", err)
	}
	// Frames of the generations, which share the other end, must not mix: SOCK_SEQPACKET keeps them apart.
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make the control socket: %w", err)
	}
	defer unix.Close(pair[1])
	conn, err := fileConn(pair[0])
	if err != nil {
		return fmt.Errorf("make the control socket: %w", err)
	}
	p.control = conn.(*net.UnixConn)
	var st unix.Stat_t
	if err := unix.Fstat(pair[1], &st); err == nil {
		p.theirs = strconv.FormatUint(st.Ino, 10)
	}
	files := []uintptr{0, 1, 2, uintptr(pair[1])}
	n, err := unitFDs() // a service manager's sockets are for who serves
	if err != nil {
		p.control.Close()
		return err
	}
	for fd := firstUnitFD; fd < firstUnitFD+n; fd++ {
		files = append(files, uintptr(fd))
	}
	mark, err := role.Mark(role.FirstGeneration, uintptr(pair[1]), 1+n)
	if err == nil {
		p.first, err = syscall.ForkExec(exe, arguments, &syscall.ProcAttr{Env: append(firstEnv(), mark), Files: files})
	}
	if err != nil {
		p.control.Close()
		return fmt.Errorf("start %s: %w", exe, err)
	}
	p.statuses[p.first] = unknown
	return nil
}

// firstEnv is our environment without what a service manager said to its main process, which we are.
func firstEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		return slices.Contains([]string{role.Env, "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_PIDFDID"}, name)
	})
}

// listen takes generations in, until nobody holds the other end: not a successor either that has yet to speak.
func (p *parent) listen() {
	defer close(p.joined)
	frame, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	for {
		n, rn, _, _, err := p.control.ReadMsgUnix(frame, rights)
		if err != nil {
			return
		}
		b, err := takeIn(frame[:n], rights[:rn])
		if err != nil {
			p.log.Warn("read the control socket", "err", err)
			continue
		}
		p.joined <- b
	}
}

func takeIn(frame, rights []byte) (*below, error) {
	list, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	if len(list) != 1 {
		return nil, errors.New("no descriptor")
	}
	fds, err := unix.ParseUnixRights(&list[0])
	if err != nil {
		return nil, err
	}
	conn, err := fileConn(fds[0]) // there is room for one only
	if err != nil {
		return nil, err
	}
	m, err := readMessage(bytes.NewReader(frame))
	if err != nil || m.kind != msgHere {
		conn.Close()
		return nil, fmt.Errorf("unexpected %q: %w", m.kind, err)
	}
	b := &below{link: newLink(conn)}
	b.pid, _ = strconv.Atoi(m.get("pid"))
	b.generation, _ = strconv.Atoi(m.get("generation"))
	return b, nil
}

// run returns when no generation is left.
func (p *parent) run() {
	joined := p.joined
	var abandoned <-chan time.Time // set while no generation is known to live, but somebody holds the control socket
	for joined != nil || len(p.living) > 0 {
		select {
		case s := <-p.signals:
			p.pass(s.(syscall.Signal))
		case <-p.died:
			p.reap()
		case b, ok := <-joined:
			if !ok {
				joined = nil
				continue
			}
			p.take(b)
			abandoned = nil
		case w := <-p.said:
			p.hear(w)
			if len(p.living) == 0 {
				abandoned = time.After(p.patience)
			}
		case <-abandoned:
			p.endMutes()
			return
		}
	}
}

// endMutes kills successors that never spoke, which their predecessor did not live to do: they would keep the sockets
// from the next start. They are our children by now.
func (p *parent) endMutes() {
	tasks, _ := filepath.Glob("/proc/self/task/*/children") // each thread has its own
	for _, file := range tasks {
		b, _ := os.ReadFile(file)
		for _, s := range strings.Fields(string(b)) {
			pid, err := strconv.Atoi(s)
			if _, holds := inspect(pid, []string{p.theirs}); err == nil && holds {
				p.log.Error("no generation is left, but a successor that never spoke: kill it", "pid", pid, "after", p.patience)
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
}

// take takes a generation in.
func (p *parent) take(b *below) {
	p.living, p.spoken = append(p.living, b), true
	p.statuses[b.pid] = unknown
	p.log.Debug("generation joined", "generation", b.generation, "pid", b.pid)
	go b.link.read()
	go func() { // ends with the generation
		for m := range b.link.in {
			p.said <- word{b, m}
		}
		p.said <- word{b, message{}}
	}()
	kept := p.kept
	p.kept = nil
	for _, s := range kept {
		p.pass(s)
	}
}

func (p *parent) hear(w word) {
	switch b := w.from; w.m.kind {
	case "": // the end of its link
		b.link.close()
		p.living = slices.DeleteFunc(p.living, func(o *below) bool { return o == b })
		if p.serving == b {
			p.serving = nil
		}
		p.repeatStop()
	case msgServing:
		if p.served == 0 && p.manager != "" {
			if err := p.manager.send("READY=1", nil); err != nil {
				p.log.Warn("service manager", "err", err)
			}
		}
		p.serving, p.served = b, b.pid
		p.log.Info("signals go to the generation that serves", "generation", b.generation, "pid", b.pid)
		p.repeatStop()
	case msgEnded:
		pid, err1 := strconv.Atoi(w.m.get("pid"))
		status, err2 := strconv.Atoi(w.m.get("status"))
		if err1 == nil && err2 == nil {
			p.ended(pid, status)
		}
	}
}

// target is who gets the signals: the serving generation, or else the youngest, which is about to.
func (p *parent) target() *below {
	switch {
	case p.serving != nil:
		return p.serving
	case len(p.living) > 0:
		return p.living[len(p.living)-1]
	}
	return nil
}

// pass repeats a signal to the target. When there is none it is kept for the next one; but a stop of
// generation 1 before that has joined goes to the process itself, which is our child and not reaped yet.
func (p *parent) pass(s syscall.Signal) {
	stop := s == syscall.SIGTERM || s == syscall.SIGINT || s == syscall.SIGQUIT
	if stop {
		p.stop = s
	}
	switch b := p.target(); {
	case b != nil:
		b.told = b.told || stop
		b.link.send(newMessage(msgSignal, "number", strconv.Itoa(int(s))))
	case stop && !p.spoken && p.statuses[p.first] == unknown:
		syscall.Kill(p.first, s)
	case !slices.Contains(p.kept, s):
		p.kept = append(p.kept, s)
	}
}

// repeatStop tells a new target of a stop that was asked for before it was one: the old one may not have passed it on.
// What drains when the service has ended is the last such target, and hurries.
func (p *parent) repeatStop() {
	if b := p.target(); p.stop != 0 && b != nil && !b.told {
		p.pass(p.stop)
	}
}

// unknown is the status of a generation that lives, or was reaped by one that could not say so any more.
const unknown = -1

// reap takes every child that has ended: generations, and strangers whose parents are gone.
func (p *parent) reap() (left bool) {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return false
		case pid == 0:
			return true
		case p.statuses[pid] == unknown:
			p.ended(pid, exitStatus(ws))
		}
	}
}

func (p *parent) ended(pid, status int) {
	p.statuses[pid], p.last = status, status
	p.log.Debug("generation ended", "pid", pid, "status", status)
}

// status waits until it is known how the generation that served last has ended: its descriptors close before it can
// be reaped, and one whose predecessor lives is reaped by that.
func (p *parent) status() int {
	if p.served == 0 { // nobody was ever ready
		p.served = p.first
	}
	for end := time.Now().Add(lastStand); time.Now().Before(end); {
		left := p.reap()
		if s, ok := p.statuses[p.served]; ok && s != unknown {
			p.log.Info("no generation is left", "status", s)
			return s
		}
		if !left {
			break
		}
		time.Sleep(5 * time.Millisecond) // between two looks
	}
	p.log.Info("no generation is left", "status", p.last)
	return p.last
}

// exitStatus is what a shell makes of the end of a process.
func exitStatus(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// lookUp reads who started this process.
func lookUp() ancestry {
	a := ancestry{pid: os.Getpid(), parent: os.Getppid(), notify: os.Getenv("NOTIFY_SOCKET") != ""}
	if b, err := os.ReadFile("/proc/" + strconv.Itoa(a.parent) + "/comm"); err == nil {
		a.name = strings.TrimSpace(string(b))
	}
	return a
}
