//go:build unix

package grace_test

import (
	"cmp"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// upgrade asks generation 1 for an update to its own executable and returns the verdict.
func (s *server) upgrade(query string) string {
	s.t.Helper()
	verdict, err := get(s.addr, "/upgrade"+query)
	if err != nil {
		s.t.Fatalf("the request that asked for the upgrade: %v", err)
	}
	return verdict
}

// askUpgrade does not wait for the verdict; the channel gets it, or what went wrong with asking.
func (s *server) askUpgrade(query string) <-chan string {
	verdict := make(chan string, 1)
	go func() {
		v, err := getWithin(3*time.Minute, s.addr, "/upgrade"+query) // as long as it takes to fill 5 GB
		verdict <- v + errText(err)
	}()
	return verdict
}

// load sends requests, each on a connection of its own, until stop is called, which returns their number and the failures.
func load(addr string, workers int) (stop func() (int, []error)) {
	var mu sync.Mutex
	var n int
	var failed []error
	var wg sync.WaitGroup
	quit := make(chan struct{})
	for range workers {
		wg.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				_, err := get(addr, "/hello")
				mu.Lock()
				n++
				if err != nil {
					failed = append(failed, err)
				}
				mu.Unlock()
			}
		})
	}
	return func() (int, []error) {
		close(quit)
		wg.Wait()
		return n, failed
	}
}

// TestHandoverCommits: rows 1 to 8a under load. The commit runs once, the successor becomes active, and the predecessor ends.
func TestHandoverCommits(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_UPDATE=1")
	s.waitUp()
	stop := load(s.addr, 4)
	if got := s.upgrade(""); got != "ok" {
		t.Fatalf("verdict %q", got)
	}
	s.file("addr")
	if _, err := os.Stat(filepath.Join(s.dir, "committed")); err != nil {
		t.Error("the commit did not run")
	}
	s.waitEnd(15 * time.Second)
	next := pidOf(t, s.addr)
	eventually(t, "the successor active", func() bool { return s.file("active") == strconv.Itoa(next) })
	n, failed := stop()
	if n < 50 || len(failed) > 0 {
		t.Errorf("%d of %d requests failed: %v", len(failed), n, failed)
	}
}

// TestUnixSocketsOutliveTheirMakers: the file of a Unix socket survives its first owner and goes with the last.
func TestUnixSocketsOutliveTheirMakers(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=200ms")
	s.waitUp()
	sock := filepath.Join(s.dir, "web.sock")
	if fi, err := os.Stat(sock); err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatalf("socket file: %v, %v", fi, err)
	}
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	s.waitEnd(15 * time.Second)
	conn, err := net.Dial("unix", sock)
	if err != nil {
		t.Fatalf("after the first owner's end: %v", err)
	}
	conn.Close()
	s.signal(pidOf(t, s.addr), syscall.SIGTERM)
	eventually(t, "the last owner gone", func() bool { return len(s.pids()) == 0 })
	for _, name := range []string{"web.sock", "admin.sock"} {
		if _, err := os.Stat(filepath.Join(s.dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
}

// TestBadSuccessors (G7, G10): whatever the new version does, this one serves on, says why, and takes the next good one.
// A failure before readiness loses no request; a crash on probation only what had been accepted there.
func TestBadSuccessors(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("not a program"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, behaviour, query string
		cause, says            string // of the verdict
		start                  string // start timeout; 1.5 s if empty
		served                 bool   // it had been ready: its own connections may be lost
	}{
		{name: "exits at once", behaviour: "exit", cause: "exited", says: "cannot read the configuration"},
		{name: "hangs before ready", behaviour: "hang", cause: "start-timeout", says: "not ready within"},
		{name: "never speaks", behaviour: "mute", cause: "start-timeout", says: "not ready within"},
		{name: "asks for more time for ever", behaviour: "extends=1000000", start: "200ms", cause: "start-timeout", says: "not ready within 2"},
		{name: "is no program", query: "?path=" + script, cause: "exec", says: "exec format error"},
		{name: "is not there", query: "?path=/nonexistent/app", cause: "exec", says: "no such file"},
		{name: "panics on probation", behaviour: "panic=100ms", cause: "crashed", says: "index out of luck", served: true},
		{name: "hangs on probation", behaviour: "stop-itself=100ms", cause: "hung", says: "no answer", served: true},
		{name: "falls ill on probation", behaviour: "sick=100ms", cause: "ill", says: "the cache is corrupt", served: true},
		{name: "is ill, as others say", query: "?witness=the+pages+are+blank", cause: "ill", says: "the pages are blank", served: true},
		{name: "commit fails", query: "?commit=disk+full", cause: "commit", says: "disk full", served: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, "full", "GRACE_TEST_START="+cmp.Or(c.start, "1500ms"), "GRACE_TEST_PROBATION=1500ms")
			s.waitUp()
			old := pidOf(t, s.addr)
			s.behave(c.behaviour)
			stop := load(s.addr, 2)
			cause, rest, _ := strings.Cut(s.upgrade(c.query), "|")
			if cause != c.cause || !strings.Contains(rest, c.says) {
				t.Errorf("verdict %q, %q; want %q with %q", cause, rest, c.cause, c.says)
			}
			if got := pidOf(t, s.addr); got != old {
				t.Errorf("pid %d serves, want the old %d", got, old)
			}
			if n, failed := stop(); n == 0 || len(failed) > 0 && !c.served {
				t.Errorf("%d of %d requests failed: %v", len(failed), n, failed)
			} else if len(failed) > 2*lostPerWorker {
				t.Errorf("%d requests failed, more than the crashed process can have held: %v", len(failed), failed)
			}
			if _, err := os.Stat(filepath.Join(s.dir, "committed")); err == nil {
				t.Error("committed all the same")
			}
			s.behave("")
			if got := s.upgrade(""); got != "ok" {
				t.Errorf("the next good version: %q", got)
			}
			s.waitEnd(15 * time.Second)
		})
	}
}

// lostPerWorker: each of the two workers of the load holds one connection at a time; one that hangs is in the stopped
// process until it is killed, so each loses at most one.
const lostPerWorker = 1

// TestExtend: a start that takes longer than the start timeout is waited for as long as it says that it goes on.
func TestExtend(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_START=600ms")
	s.waitUp()
	s.behave("extends=4") // 1.2 s
	began := time.Now()
	if got := s.upgrade(""); got != "ok" {
		t.Errorf("verdict %q", got)
	}
	if d := time.Since(began); d < 1200*time.Millisecond {
		t.Errorf("it took only %s: nothing was extended", d)
	}
}

// TestSuccessorKilledOnProbation: the next accept comes at once, and none is refused (G8).
func TestSuccessorKilledOnProbation(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=20s")
	s.waitUp()
	old := pidOf(t, s.addr)
	for range 3 {
		verdict := s.askUpgrade("")
		var next int
		eventually(t, "the successor serving", func() bool { next = pidOf(t, s.addr); return next != old })
		s.signal(next, syscall.SIGKILL)
		killed := time.Now()
		if got := pidOf(t, s.addr); got != old {
			t.Fatalf("pid %d answers after the kill, want %d", got, old)
		}
		if d := time.Since(killed); d > time.Second {
			t.Errorf("the next accept came %s after the kill", d)
		}
		if v := <-verdict; !strings.HasPrefix(v, "crashed|signal: killed") {
			t.Errorf("verdict %q", v)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestPredecessorKilledOnProbation is row 8c: the successor serves on, ends its probation and commits by itself.
func TestPredecessorKilledOnProbation(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=2s")
	s.waitUp()
	old := s.cmd.Process.Pid
	s.signal(old, syscall.SIGHUP)
	s.waitLog("standing by")
	s.signal(old, syscall.SIGKILL)
	<-s.done
	next := pidOf(t, s.addr)
	if got := s.file("orphan-committed"); got != strconv.Itoa(next) {
		t.Errorf("pid %s committed, want %d", got, next)
	}
	eventually(t, "the orphan active", func() bool { return s.file("active") == strconv.Itoa(next) })
	if v, err := get(s.addr, "/upgrade"); err != nil || v != "ok" {
		t.Errorf("the next upgrade: %q, %v", v, err)
	}
}

// TestSuccessorKilledAfterCommit is row 8d: the predecessor, which still drains, serves at once and starts the install path again.
func TestSuccessorKilledAfterCommit(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=200ms", "GRACE_TEST_DRAIN=30s")
	s.waitUp()
	slow := make(chan error, 1)
	go func() {
		_, err := get(s.addr, "/hello?sleep=5")
		slow <- err
	}()
	eventually(t, "the slow request in flight", func() bool { return established(t, s.addr) >= 1 })
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	s.waitLog("handed over")
	second := pidOf(t, s.addr)
	s.signal(second, syscall.SIGKILL)
	third := pidOf(t, s.addr) // nobody refuses
	if third == second {
		t.Fatal("the dead answered")
	}
	eventually(t, "a new successor", func() bool {
		pid := pidOf(t, s.addr)
		return pid != second && pid != s.cmd.Process.Pid
	})
	if err := <-slow; err != nil {
		t.Errorf("the request that the drain waited for: %v", err)
	}
	s.waitEnd(15 * time.Second)
	pidOf(t, s.addr)
}

// TestStopOnProbation: a stop in standby ends both, and is no verdict.
func TestStopOnProbation(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"predecessor", "successor"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			s := start(t, "full", "GRACE_TEST_PROBATION=20s")
			s.waitUp()
			old := pidOf(t, s.addr)
			verdict := s.askUpgrade("")
			var pid int
			eventually(t, "the successor serving", func() bool { pid = pidOf(t, s.addr); return pid != old })
			if who == "predecessor" {
				pid = old
			}
			s.signal(pid, syscall.SIGTERM)
			s.waitEnd(10 * time.Second)
			if v := <-verdict; !strings.HasPrefix(v, "stopped|") {
				t.Errorf("verdict %q", v)
			}
			eventually(t, "both gone", func() bool { return len(s.pids()) == 0 })
			if _, err := os.Stat(filepath.Join(s.dir, "web.sock")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("web.sock is still there: %v", err)
			}
		})
	}
}

// TestBusy: one handover at a time; the others are told the state.
func TestBusy(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=1s")
	s.waitUp()
	keep := dialKeepAlive(t, s.addr) // stays with generation 1
	verdict := s.askUpgrade("")
	s.waitLog("standing by")
	if v := keep.get(t, "/upgrade"); v != "error|hand over: busy: this process is standby" {
		t.Errorf("the second asker got %q", v)
	}
	if v := <-verdict; v != "ok" {
		t.Errorf("the first asker got %q", v)
	}
}

// TestHangups: of many HUPs during a handover one is kept, and runs after the commit in whoever serves then.
func TestHangups(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=2s")
	s.waitUp()
	old := s.cmd.Process.Pid
	s.signal(old, syscall.SIGHUP)
	s.waitLog("standing by")
	for range 100 {
		s.signal(old, syscall.SIGHUP)
	}
	eventually(t, "generation 3 alone", func() bool {
		return strings.Contains(s.log(), "handed over generation=2 to=3") || strings.Contains(s.log(), `msg="handed over" generation=2 to=3`)
	})
	eventually(t, "one process left", func() bool { return len(s.pids()) == 1 })
	if strings.Contains(s.log(), "to=4") {
		t.Error("more than one HUP was kept")
	}
}

// TestChain: twenty generations; descriptors and processes stay flat, and the port stays the same.
func TestChain(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=50ms")
	s.waitUp()
	var fds []string
	for range 20 {
		pid := pidOf(t, s.addr)
		eventually(t, "serving", func() bool { v, err := get(s.addr, "/state"); return err == nil && v == "serving" })
		n, err := get(s.addr, "/fds")
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, n)
		s.signal(pid, syscall.SIGHUP)
		eventually(t, "the next generation", func() bool { return pidOf(t, s.addr) != pid })
		eventually(t, "one process left", func() bool { return len(s.pids()) == 1 })
	}
	if first, last := atoi(t, fds[1]), atoi(t, fds[len(fds)-1]); last > first+2 {
		t.Errorf("open descriptors grew: %v", fds)
	}
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestListenerStaysNonBlocking: duplicating a socket for a child must leave the live listener in non-blocking mode, or parking
// and stopping do nothing.
func TestListenerStaysNonBlocking(t *testing.T) {
	t.Parallel()
	s := start(t, "full")
	s.behave("exit")
	s.waitUp()
	s.upgrade("")
	checked := 0
	entries, _ := os.ReadDir("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/fd")
	for _, e := range entries {
		base := "/proc/" + strconv.Itoa(s.cmd.Process.Pid)
		if to, _ := os.Readlink(base + "/fd/" + e.Name()); !strings.HasPrefix(to, "socket:") {
			continue
		}
		info, _ := os.ReadFile(base + "/fdinfo/" + e.Name())
		_, flags, _ := strings.Cut(string(info), "flags:\t")
		bits, err := strconv.ParseUint(strings.Fields(flags)[0], 8, 64)
		if err != nil {
			t.Fatal(err)
		}
		if bits&syscall.O_NONBLOCK == 0 {
			t.Errorf("descriptor %s is in blocking mode after a failed handover", e.Name())
		}
		checked++
	}
	if checked < 3 {
		t.Fatalf("only %d sockets seen", checked)
	}
	s.signal(s.cmd.Process.Pid, syscall.SIGTERM)
	s.waitEnd(5 * time.Second)
}

// TestEcho: a raw listener hands over like any other; a connection stays with the process that accepted it.
func TestEcho(t *testing.T) {
	t.Parallel()
	s := start(t, "echo")
	s.waitUp()
	held, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	echo(t, held, "before")
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	eventually(t, "two generations", func() bool { return len(s.pids()) == 2 })
	echo(t, held, "during")
	eventually(t, "a successor that answers", func() bool {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		echo(t, c, "fresh")
		return true
	})
	held.Close()
	s.waitEnd(10 * time.Second)
}

func echo(t *testing.T, c net.Conn, text string) {
	t.Helper()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, len(text))
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != text {
		t.Fatalf("echo of %q: %q, %v", text, buf, err)
	}
}

// keepAlive is a client with one connection of its own.
type keepAlive struct {
	addr string
	c    *http.Client
}

func dialKeepAlive(t *testing.T, addr string) *keepAlive {
	t.Helper()
	tr := &http.Transport{MaxIdleConnsPerHost: 1}
	t.Cleanup(tr.CloseIdleConnections)
	k := &keepAlive{addr, &http.Client{Transport: tr, Timeout: 30 * time.Second}}
	k.get(t, "/hello")
	return k
}

func (k *keepAlive) get(t *testing.T, path string) string {
	t.Helper()
	res, err := k.c.Get("http://" + k.addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestOrphanThatHangs: a successor that is never ready, and whose predecessor is dead, gives the port up after its start timeout.
func TestOrphanThatHangs(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_START=700ms")
	s.waitUp()
	s.behave("hang")
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	eventually(t, "the successor", func() bool { return len(s.pids()) == 2 })
	s.signal(s.cmd.Process.Pid, syscall.SIGKILL)
	<-s.done
	eventually(t, "nobody holds the port", func() bool { return len(s.pids()) == 0 })
	s.waitLog("give up")
}
