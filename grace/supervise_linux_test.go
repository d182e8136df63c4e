package grace_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/grace/role"
)

func init() { programs["supervised"] = supervisedProgram }

// supervisedProgram does what the tests of supervisors ask for, by files in its working directory: "ill", "health hangs" and "owner hangs" as
// long as they exist; "behaviour" as in fullProgram, for successors.
func supervisedProgram() {
	exists := func(name string) bool { _, err := os.Stat(name); return err == nil }
	behaviour := ""
	if role.Current() == role.Successor {
		b, _ := os.ReadFile("behaviour")
		behaviour = strings.TrimSpace(string(b))
	}
	if behaviour == "exit" {
		os.Exit(3)
	}
	hidden := os.Getenv("NOTIFY_SOCKET")
	if os.Getenv("GRACE_TEST_HIDE_MANAGER") != "" { // the control: nobody moves MAINPID
		os.Unsetenv("NOTIFY_SOCKET")
	}
	p, err := grace.New(grace.Options{
		Logger:          slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})),
		StartTimeout:    envDuration("GRACE_TEST_START", 20*time.Second),
		Probation:       envDuration("GRACE_TEST_PROBATION", 200*time.Millisecond),
		UpdateProbation: envDuration("GRACE_TEST_PROBATION", 200*time.Millisecond),
		DrainTimeout:    envDuration("GRACE_TEST_DRAIN", 10*time.Second),
		HealthInterval:  500 * time.Millisecond,
		PIDFile:         os.Getenv("GRACE_TEST_PIDFILE"),
		Health: func(ctx context.Context) error {
			for exists("health hangs") { // whatever the context says
				time.Sleep(10 * time.Millisecond) // between two looks
			}
			if exists("ill") {
				return errors.New("the cache is corrupt")
			}
			return nil
		},
		OnEvent: func(e grace.Event) {
			for exists("owner hangs") {
				time.Sleep(10 * time.Millisecond) // between two looks
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	if n, err := strconv.Atoi(os.Getenv("GRACE_TEST_EXTEND")); err == nil {
		for range n {
			if err := p.Extend(); err != nil {
				log.Fatal(err)
			}
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", hello)
	mux.HandleFunc("/state", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, p.State()) })
	mux.HandleFunc("/env", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, os.Getenv(r.FormValue("name"))) })
	mux.HandleFunc("/upgrade", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, p.Handover(r.Context(), p.InstallPath(), func() error { return nil }))
	})
	ln, err := p.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go p.Serve(&http.Server{Handler: mux}, ln)
	if err := p.Ready(context.Background()); err != nil {
		log.Fatal(err)
	}
	if hidden != "" && os.Getenv("NOTIFY_SOCKET") == "" && p.Generation() == 1 {
		sayReady(hidden)
	}
	os.WriteFile("addr", []byte(ln.Addr().String()), 0o600)
	if arg, ok := strings.CutPrefix(behaviour, "panic="); ok {
		time.AfterFunc(parseDuration(arg), func() { panic("index out of luck") })
	}
	if err := p.Wait(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// sayReady is what a program does that knows systemd, but has a hot restart that does not.
func sayReady(socket string) {
	c, err := net.Dial("unixgram", socket)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "READY=1")
}

// A notice is one datagram to the service manager, with its sender as the kernel tells it.
type notice struct {
	pid   int
	alive bool // when it was read
	at    time.Time
	text  string
}

func (n notice) has(line string) bool { return slices.Contains(strings.Split(n.text, "\n"), line) }

// value of a line NAME=value, "" if there is none.
func (n notice) value(name string) string {
	for line := range strings.Lines(n.text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			return v
		}
	}
	return ""
}

// A fakeManager reads notifications as systemd does, also those that the system's own version does not know.
type fakeManager struct {
	t      *testing.T
	socket string
	mu     sync.Mutex
	all    []notice
}

func newFakeManager(t *testing.T) *fakeManager {
	t.Helper()
	m := &fakeManager{t: t, socket: filepath.Join(t.TempDir(), "notify")}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
	if err != nil {
		t.Fatal(err)
	}
	go m.read(conn) // ends when the test closes the socket
	return m
}

func (m *fakeManager) read(conn *net.UnixConn) {
	buf, oob := make([]byte, 4096), make([]byte, 4096)
	for {
		n, on, _, _, err := conn.ReadMsgUnix(buf, oob)
		if err != nil {
			return
		}
		note := notice{text: string(buf[:n]), at: time.Now()}
		messages, _ := unix.ParseSocketControlMessage(oob[:on])
		var fds []int
		for _, c := range messages {
			if cred, err := unix.ParseUnixCredentials(&c); err == nil {
				note.pid = int(cred.Pid)
			}
			passed, _ := unix.ParseUnixRights(&c)
			fds = append(fds, passed...)
		}
		_, err = os.Stat(fmt.Sprintf("/proc/%d/fd/0", note.pid)) // a zombie has no descriptors
		note.alive = err == nil
		m.mu.Lock()
		m.all = append(m.all, note)
		m.mu.Unlock()
		for _, fd := range fds { // a barrier: after the notice counts as read
			unix.Close(fd)
		}
	}
}

func (m *fakeManager) notices() []notice {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.all)
}

// wait returns the first notice, from the given place on, with this line or a line that begins with it, and the place after it.
func (m *fakeManager) wait(from int, line string) (n notice, next int) {
	m.t.Helper()
	eventually(m.t, "the notice "+line, func() bool {
		for i, x := range m.notices() {
			if i >= from && (x.has(line) || strings.HasSuffix(line, "=") && x.value(strings.TrimSuffix(line, "=")) != "") {
				n, next = x, i+1
				return true
			}
		}
		return false
	})
	return n, next
}

// said is every notice of pid with this line or name, pings and all.
func (m *fakeManager) said(pid int, line string) (list []notice) {
	for _, n := range m.notices() {
		if n.pid == pid && (n.has(line) || strings.HasSuffix(line, "=") && n.value(strings.TrimSuffix(line, "=")) != "") {
			list = append(list, n)
		}
	}
	return list
}

func (m *fakeManager) String() string {
	var b strings.Builder
	for _, n := range m.notices() {
		fmt.Fprintf(&b, "%s %d %q\n", n.at.Format("05.000"), n.pid, n.text)
	}
	return b.String()
}

func startSupervised(t *testing.T, env ...string) (*server, *fakeManager) {
	t.Helper()
	m := newFakeManager(t)
	s := start(t, "supervised", append([]string{"NOTIFY_SOCKET=" + m.socket}, env...)...)
	s.waitUp()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the manager was told:\n%s", m)
		}
	})
	return s, m
}

func now() int64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano() / 1000
}

// TestNotifyReload: what a service manager is told by whom, from the start over a HUP to the stop.
func TestNotifyReload(t *testing.T) {
	t.Parallel()
	s, m := startSupervised(t)
	old := s.cmd.Process.Pid
	ready, next := m.wait(0, "READY=1")
	if ready.pid != old || ready.value("STATUS") != "generation 1 serves" {
		t.Errorf("at readiness pid %d said %q", ready.pid, ready.text)
	}

	asked := now()
	s.signal(old, syscall.SIGHUP)
	reloading, next := m.wait(next, "RELOADING=1")
	stamp, _ := strconv.ParseInt(reloading.value("MONOTONIC_USEC"), 10, 64)
	if reloading.pid != old || stamp < asked || stamp > now() {
		t.Errorf("pid %d said %q; the HUP was sent at %d", reloading.pid, reloading.text, asked)
	}
	moved, next := m.wait(next, "MAINPID=")
	heir := pidOf(t, s.addr)
	if moved.pid != old || !moved.alive || !moved.has("MAINPID="+strconv.Itoa(heir)) || !moved.has("READY=1") {
		t.Errorf("at the commit pid %d (alive: %v) said %q; the successor is %d", moved.pid, moved.alive, moved.text, heir)
	}
	if b, _ := m.wait(next, "BARRIER=1"); b.pid != old || !b.alive {
		t.Errorf("barrier from pid %d, alive: %v", b.pid, b.alive)
	}
	s.waitEnd(15 * time.Second)
	if alone, _ := m.wait(next, "STATUS=generation 2 serves"); alone.pid != heir {
		t.Errorf("pid %d said %q", alone.pid, alone.text)
	}

	s.signal(heir, syscall.SIGTERM)
	eventually(t, "all gone", func() bool { return len(s.pids()) == 0 })
	stop, _ := m.wait(next, "STOPPING=1")
	// The drain deadline of 10 s and what comes after it; TimeoutStopSec may be shorter.
	if us, _ := strconv.Atoi(stop.value("EXTEND_TIMEOUT_USEC")); stop.pid != heir || us < 10e6 {
		t.Errorf("at the stop pid %d said %q", stop.pid, stop.text)
	}
	if list := m.said(old, "STOPPING=1"); len(list) > 0 {
		t.Errorf("the predecessor said %q", list[0].text)
	}
	for i, n := range m.notices() {
		if i >= next && n.pid == old && n.text != "BARRIER=1" {
			t.Errorf("the predecessor said %q after MAINPID", n.text)
		}
		if i < next-1 && n.pid == heir {
			t.Errorf("the successor said %q before MAINPID named it", n.text)
		}
	}
}

// TestReloadUndone: a reload always ends with READY=1 from the process that serves on, and moves no MAINPID.
func TestReloadUndone(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(s *server){
		"exits before ready":   func(s *server) { s.behave("exit") },
		"panics on probation":  func(s *server) { s.behave("panic=10ms") },
		"cannot be started":    func(s *server) { os.Remove(filepath.Join(s.dir, "program")) },
		"is no program of any": func(s *server) { s.overwrite("program", "not a program\n") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newFakeManager(t)
			dir := t.TempDir()
			s := startCopy(t, dir, "NOTIFY_SOCKET="+m.socket, "GRACE_TEST_PROBATION=5s")
			s.waitUp()
			old := s.cmd.Process.Pid
			_, next := m.wait(0, "READY=1")
			spoil(s)
			for range 2 { // and once more: nothing is left over from the first
				s.signal(old, syscall.SIGHUP)
				_, next = m.wait(next, "RELOADING=1")
				var ready notice
				if ready, next = m.wait(next, "READY=1"); ready.pid != old {
					t.Errorf("pid %d said %q", ready.pid, ready.text)
				}
				eventually(t, "serving", func() bool { v, err := get(s.addr, "/state"); return err == nil && v == "serving" })
			}
			if list := m.said(old, "MAINPID="); len(list) > 0 {
				t.Errorf("%q", list[0].text)
			}
		})
	}
}

// startCopy starts the program from a file of its own, which the test may spoil.
func startCopy(t *testing.T, dir string, env ...string) *server {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Link(exe, filepath.Join(dir, "program")); err != nil {
		b, err := os.ReadFile(exe)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "program"), b, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return startExe(t, filepath.Join(dir, "program"), dir, "supervised", env...)
}

// overwrite puts another file in the place of one, by a rename.
func (s *server) overwrite(name, content string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	err := os.WriteFile(path+".new", []byte(content), 0o700)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// TestReloadKept: a HUP during another handover is heard at once, and its reload ends when the handover that it asks for has ended, one
// generation later.
func TestReloadKept(t *testing.T) {
	t.Parallel()
	s, m := startSupervised(t, "GRACE_TEST_PROBATION=1s")
	first := s.cmd.Process.Pid
	go get(s.addr, "/upgrade") // as an updater asks for it: no reload
	standby, next := m.wait(0, "STATUS=generation 2 serves on probation as pid "+strconv.Itoa(s.successor(first))+", generation 1 stands by")
	if list := m.said(first, "RELOADING=1"); len(list) > 0 {
		t.Errorf("an update said %q before %q", list[0].text, standby.text)
	}
	s.signal(first, syscall.SIGHUP)
	reloading, next := m.wait(next, "RELOADING=1")
	moved, next := m.wait(next, "MAINPID=")
	if reloading.pid != first || moved.pid != first || moved.has("READY=1") {
		t.Errorf("pid %d said %q, pid %d said %q: the reload has not ended yet", reloading.pid, reloading.text, moved.pid, moved.text)
	}
	second, _ := strconv.Atoi(moved.value("MAINPID"))
	end, _ := m.wait(next, "READY=1")
	if end.pid != second || end.value("MAINPID") == "" {
		t.Errorf("pid %d said %q, want MAINPID and READY from generation 2, pid %d", end.pid, end.text, second)
	}
}

// successor waits for the second process of the line.
func (s *server) successor(of int) (pid int) {
	s.t.Helper()
	eventually(s.t, "a successor", func() bool {
		for _, pid = range s.pids() {
			if pid != of {
				return true
			}
		}
		return false
	})
	return pid
}

// TestExtendTimeout: a long start asks the manager for time, a successor's by way of its predecessor, and only while somebody waits.
func TestExtendTimeout(t *testing.T) {
	t.Parallel()
	s, m := startSupervised(t, "GRACE_TEST_EXTEND=1", "GRACE_TEST_START=20s")
	old := s.cmd.Process.Pid
	first, next := m.wait(0, "EXTEND_TIMEOUT_USEC=")
	if first.pid != old || first.value("EXTEND_TIMEOUT_USEC") != "20000000" {
		t.Errorf("pid %d said %q", first.pid, first.text)
	}
	if _, after := m.wait(0, "READY=1"); after <= next-1 {
		t.Error("asked for more time after readiness")
	}
	_, next = m.wait(next, "READY=1")
	s.signal(old, syscall.SIGHUP)
	_, next = m.wait(next, "RELOADING=1")
	more, next := m.wait(next, "EXTEND_TIMEOUT_USEC=")
	if us, _ := strconv.Atoi(more.value("EXTEND_TIMEOUT_USEC")); more.pid != old || us < 20e6 || more.value("STATUS") != "" {
		t.Errorf("pid %d said %q for its successor", more.pid, more.text)
	}
	moved, _ := m.wait(next, "MAINPID=")
	s.waitEnd(15 * time.Second)

	heir, _ := strconv.Atoi(moved.value("MAINPID"))
	go get(s.addr, "/upgrade")
	m.wait(0, "STATUS=generation 3 serves")
	if list := m.said(heir, "EXTEND_TIMEOUT_USEC="); len(list) > 0 {
		t.Errorf("%q, though nobody waits", list[0].text)
	}
}

// TestStopWaitsForOlder: at a stop, predecessors that drain end before the process that a supervisor knows; it takes what is left after
// that process for left-overs.
func TestStopWaitsForOlder(t *testing.T) {
	t.Parallel()
	s, m := startSupervised(t, "GRACE_TEST_PROBATION=100ms")
	first := s.cmd.Process.Pid
	answers := make(chan error, 2)
	pid, next := first, 0
	for i := range 2 {
		go func() {
			_, err := get(s.addr, "/hello?sleep=3")
			answers <- err
		}()
		eventually(t, "the slow request in flight", func() bool { return established(t, s.addr) > i })
		s.signal(pid, syscall.SIGHUP)
		var moved notice
		moved, next = m.wait(next, "MAINPID=")
		pid, _ = strconv.Atoi(moved.value("MAINPID"))
	}
	s.signal(pid, syscall.SIGTERM)
	eventually(t, "the end of the last", func() bool {
		gone := !alive(pid)
		if left := s.pids(); gone && len(left) > 0 {
			t.Fatalf("pid %d ended before %v", pid, left)
		}
		return gone
	})
	for range cap(answers) {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if strings.Contains(s.log(), "serving again") {
		t.Error("a predecessor took the stop for a crash")
	}
}
