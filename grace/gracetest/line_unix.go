//go:build unix

package gracetest

import (
	"bufio"
	"flag"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/moult-go/moult/grace/role"
)

// patience bounds every wait for a server: for one that is loaded and race-checked, not for one that is well.
const patience = 60 * time.Second

// line is the line of servers, as the test sees it.
type line struct {
	t   TB
	dir string

	serving int      // pid of the one that serves when no handover is under way
	control net.Conn // events come up here; that it is closed ends every server

	mu     sync.Mutex
	events []event
	procs  map[int]*os.Process // every one there was; on Linux the handle of a process is not fooled by a recycled pid
	living map[int]bool        // as far as the events tell
	news   chan struct{}       // closed at the next event
	over   bool                // every server is gone
}

// startLine starts the first server: this test binary once more, with this test only.
func startLine(t TB, dir string, call int) *line {
	t.Helper()
	l := &line{t: t, dir: dir, procs: map[int]*os.Process{}, living: map[int]bool{}, news: make(chan struct{})}
	log, err := os.Create(l.logFile())
	if err != nil {
		t.Fatalf("log of the servers: %v", err)
	}
	defer log.Close()
	if err := os.Mkdir(filepath.Join(l.dir, "tmp"), 0o700); err != nil {
		t.Fatalf("temporary directory of the servers: %v", err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatalf("find this test binary: %v", err)
	}
	control, theirs, err := controlPair()
	if err != nil {
		t.Fatalf("socketpair: %v", err)
	}
	l.control = control
	cmd := exec.Command(exe, serverArgs(t.Name())...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, log, log
	cmd.Env = serverEnv(l.dir, t.Name(), call)
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		control.Close()
		t.Fatalf("start this test binary: %v", err)
	}
	l.procs[cmd.Process.Pid], l.living[cmd.Process.Pid] = cmd.Process, true
	go cmd.Wait() // ends with the process, which end sees to
	go l.read()
	t.Cleanup(l.end)
	return l
}

// controlPair makes the socketpair: our end, and what becomes standard input there.
func controlPair() (net.Conn, *os.File, error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, err
	}
	theirs := os.NewFile(uintptr(fds[1]), "control")
	f := os.NewFile(uintptr(fds[0]), "control")
	defer f.Close()
	ours, err := net.FileConn(f)
	if err != nil {
		theirs.Close()
	}
	return ours, theirs, err
}

// serverArgs makes the test binary run this test only, with the flags that are the user's own.
func serverArgs(test string) []string {
	var pattern []string
	for _, s := range strings.Split(test, "/") {
		pattern = append(pattern, "^"+regexp.QuoteMeta(s)+"$")
	}
	args := []string{"-test.run=" + strings.Join(pattern, "/")}
	flag.Visit(func(f *flag.Flag) {
		if !strings.HasPrefix(f.Name, "test.") || f.Name == "test.short" {
			args = append(args, "-"+f.Name+"="+f.Value.String())
		}
	})
	return append(args, flag.Args()...)
}

// serverEnv is ours, without what a service manager said to us alone. Temporary files of servers that are killed go with
// the test's own.
func serverEnv(dir, test string, call int) []string {
	var env []string
	for _, e := range os.Environ() {
		switch name, _, _ := strings.Cut(e, "="); name {
		case role.Env, "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES":
		default:
			env = append(env, e)
		}
	}
	v := url.Values{"dir": {dir}, "test": {test}, "call": {strconv.Itoa(call)}}
	return append(env, runEnv+"="+v.Encode(), "TMPDIR="+filepath.Join(dir, "tmp"))
}

func (l *line) logFile() string { return filepath.Join(l.dir, "log") }

// read collects events until every server is gone.
func (l *line) read() {
	lines := bufio.NewScanner(l.control)
	for lines.Scan() {
		e, err := parseEvent(lines.Text())
		if err != nil {
			continue
		}
		l.mu.Lock()
		l.note(e)
		l.mu.Unlock()
	}
	l.mu.Lock()
	l.over = true
	close(l.news)
	l.mu.Unlock()
}

// note keeps an event. The caller holds l.mu.
func (l *line) note(e event) {
	switch e.name {
	case "spawned":
		l.follow(e.about)
	case "born":
		l.follow(e.from)
	case "ended":
		delete(l.living, e.from)
	case "rolled-back", "resurrected":
		delete(l.living, e.about)
	}
	l.events = append(l.events, e)
	close(l.news)
	l.news = make(chan struct{})
}

func (l *line) follow(pid int) {
	if l.procs[pid] == nil {
		l.procs[pid], _ = os.FindProcess(pid) // never fails on Unix
		l.living[pid] = true
	}
}

// mark is a place in the events, to wait from.
func (l *line) mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.events)
}

// await returns the first event from mark on that is wanted. Without one the test ends here.
func (l *line) await(mark int, what string, wanted func(event) bool) event {
	l.t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		l.mu.Lock()
		events, news, over := l.events[mark:], l.news, l.over
		l.mu.Unlock()
		for _, e := range events {
			if wanted(e) {
				return e
			}
		}
		mark += len(events)
		if over {
			l.t.Fatalf("no %s: no server is left", what)
		}
		select {
		case <-news:
		case <-late.C:
			l.t.Fatalf("no %s within %s", what, patience)
		}
	}
}

// thin waits until at most n servers are left: those of earlier generations may still drain.
func (l *line) thin(n int) {
	l.t.Helper()
	for mark := 0; ; mark = l.mark() {
		l.mu.Lock()
		few := len(l.living) <= n
		l.mu.Unlock()
		if few {
			return
		}
		l.await(mark, "end of a predecessor", func(e event) bool { return e.name == "ended" })
	}
}

// forget is for a server that was killed: no event tells of its end.
func (l *line) forget(pid int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.living, pid)
}

func (l *line) signal(pid int, sig syscall.Signal) {
	l.t.Helper()
	l.mu.Lock()
	p := l.procs[pid]
	l.mu.Unlock()
	if p == nil {
		l.t.Fatalf("signal %s: server %d is gone", sig, pid)
	}
	if err := p.Signal(sig); err != nil {
		l.t.Fatalf("signal %s to server %d: %v", sig, pid, err)
	}
}

// stop ends the line as an operator does.
func (l *line) stop() {
	l.t.Helper()
	l.signal(l.serving, syscall.SIGTERM)
	if !l.gone(patience) {
		l.t.Errorf("servers %v do not stop", l.left())
	}
}

// gone waits until no server is left.
func (l *line) gone(within time.Duration) bool {
	late := time.NewTimer(within)
	defer late.Stop()
	for {
		l.mu.Lock()
		news, over := l.news, l.over
		l.mu.Unlock()
		if over {
			return true
		}
		select {
		case <-news:
		case <-late.C:
			return false
		}
	}
}

func (l *line) left() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.living))
}

// end leaves nobody behind, whatever has happened, and shows the log of a test that failed.
func (l *line) end() {
	l.t.Helper()
	l.mu.Lock()
	if !l.over {
		for _, p := range l.procs {
			p.Kill()
		}
	}
	l.mu.Unlock()
	// A server that we do not know of yet, born of one that was just killed, reads the end of file and exits.
	l.control.(*net.UnixConn).CloseWrite()
	if !l.gone(patience) {
		l.t.Errorf("servers %v outlive the test", l.left())
	}
	l.control.Close()
	log, err := os.ReadFile(l.logFile())
	if err != nil {
		l.t.Errorf("log of the servers: %v", err)
	}
	if strings.Contains(string(log), "WARNING: DATA RACE") {
		l.t.Errorf("a server has a data race")
	}
	if l.t.Failed() {
		const most = 64 << 10
		l.t.Logf("log of the servers:\n%s", log[max(0, len(log)-most):])
	}
}
