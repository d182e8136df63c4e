package grace_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/grace/role"
)

func init() {
	programs["namespace"] = namespaceProgram
	programs["init"] = initProgram
	programs["slow start"] = slowStartProgram
	programs["orphans"] = orphansProgram
	programs["second"] = secondProgram
	programs["graded"] = gradedProgram
}

// initProgram is a mini-init: it starts one process, passes TERM and HUP on, and ends with it.
func initProgram() {
	exe := os.Getenv("GRACE_TEST_EXE")
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "GRACE_TEST_PROGRAM=full")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		log.Fatal(err)
	}
	os.WriteFile("started", []byte(strconv.Itoa(cmd.Process.Pid)), 0o600)
	cmd.Wait()
	os.Exit(cmd.ProcessState.ExitCode())
}

// slowStartProgram is not ready before the test ends.
func slowStartProgram() {
	p, err := grace.New(grace.Options{StayParent: grace.StayParentOn})
	if err != nil {
		log.Fatal(err)
	}
	os.WriteFile("starting", []byte(strconv.Itoa(os.Getpid())), 0o600)
	p.Wait(context.Background())
}

// orphansProgram leaves processes behind, as a careless program does.
func orphansProgram() {
	if role.Current() == role.FirstGeneration {
		for range 5 {
			if err := exec.Command("sh", "-c", "sleep 2 & :").Run(); err != nil {
				log.Fatal(err)
			}
		}
	}
	fullProgram()
}

// servingPID waits until a generation serves alone, in the state serving.
func (s *server) servingPID() int {
	s.t.Helper()
	eventually(s.t, "serving", func() bool { v, err := get(s.addr, "/state"); return err == nil && v == "serving" })
	return pidOf(s.t, s.addr)
}

// replace sends HUP to the parent, and waits until the next generation serves and the last one is gone.
func (s *server) replace(old int) (next int) {
	s.t.Helper()
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	eventually(s.t, "the next generation", func() bool { return pidOf(s.t, s.addr) != old })
	eventually(s.t, "the predecessor gone", func() bool { return len(s.pids()) == 2 })
	return s.servingPID()
}

func (s *server) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// waitStatus waits for the end of the process that the test started.
func (s *server) waitStatus() int {
	s.t.Helper()
	eventually(s.t, "the end of the parent", s.ended)
	eventually(s.t, "every process gone", func() bool { return len(s.pids()) == 0 })
	return s.cmd.ProcessState.ExitCode()
}

// TestStayParent: the pid that was started lives through handovers, which a HUP to it asks for; TERM to it ends the
// service with status 0.
func TestStayParent(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_STAY=on", "GRACE_TEST_PROBATION=200ms")
	s.waitUp()
	pid := s.servingPID()
	if pid == s.cmd.Process.Pid {
		t.Fatal("the process that was started serves itself")
	}
	for range 3 {
		pid = s.replace(pid)
	}
	if s.ended() {
		t.Fatal("the parent has ended")
	}
	s.signal(s.cmd.Process.Pid, syscall.SIGTERM)
	if got := s.waitStatus(); got != 0 {
		t.Errorf("status %d", got)
	}
}

// TestStayParentStatus: the parent ends as the generation that served last did.
func TestStayParentStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		generation int // that serves at the end
		end        func(s *server, pid int)
		want       int
	}{
		{"killed", 1, func(s *server, pid int) { s.signal(pid, syscall.SIGKILL) }, 128 + 9},
		{"killed later", 2, func(s *server, pid int) { s.signal(pid, syscall.SIGKILL) }, 128 + 9},
		{"quit through the parent", 2, func(s *server, pid int) { s.signal(s.cmd.Process.Pid, syscall.SIGQUIT) }, 2},
		{"stopped directly", 1, func(s *server, pid int) { s.signal(pid, syscall.SIGTERM) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, "full", "GRACE_TEST_STAY=on", "GRACE_TEST_PROBATION=200ms")
			s.waitUp()
			pid := s.servingPID()
			if c.generation == 2 {
				pid = s.replace(pid)
			}
			c.end(s, pid)
			if got := s.waitStatus(); got != c.want {
				t.Errorf("status %d, want %d", got, c.want)
			}
		})
	}
}

// gradedProgram ends with its generation as status, and has a use for a signal of its own. Generation 1 begins when the
// test says so.
func gradedProgram() {
	for role.Current() == role.FirstGeneration {
		os.WriteFile("begun", []byte(strconv.Itoa(os.Getpid())), 0o600)
		if _, err := os.Stat("go"); err == nil {
			break
		}
		time.Sleep(2 * time.Millisecond) // between two looks
	}
	usr1 := make(chan os.Signal, 1)
	signal.Notify(usr1, syscall.SIGUSR1)
	go func() {
		for range usr1 {
			os.WriteFile("usr1", []byte(strconv.Itoa(os.Getpid())), 0o600)
		}
	}()
	p, err := grace.New(grace.Options{StayParent: grace.StayParentOn, DrainTimeout: time.Minute,
		Probation: 200 * time.Millisecond,
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := p.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				fmt.Fprintln(c, p.Generation())
				io.Copy(io.Discard, c)
			}()
		}
	}()
	if err := p.Ready(context.Background()); err != nil {
		log.Fatal(err)
	}
	os.WriteFile("addr", []byte(ln.Addr().String()), 0o600)
	p.Wait(context.Background())
	os.Exit(p.Generation())
}

// answers dials a gradedProgram, and returns the connection and the generation that took it.
func answers(t *testing.T, addr string) (c net.Conn, generation int) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := fmt.Fscanln(c, &generation); err != nil {
		t.Fatal(err)
	}
	return c, generation
}

// TestStayParentKeeps: a HUP that comes before generation 1 can know of it is kept; other signals reach whoever in the serving
// generation waits for them; and a generation that a draining predecessor reaps is the last that served all the same.
func TestStayParentKeeps(t *testing.T) {
	t.Parallel()
	s := start(t, "graded")
	s.file("begun")
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	os.WriteFile(filepath.Join(s.dir, "go"), nil, 0o600)
	s.waitUp()
	first, _ := answers(t, s.addr)
	eventually(t, "generation 2", func() bool {
		c, generation := answers(t, s.addr)
		c.Close()
		return generation == 2
	})
	s.waitLog(`msg="signals go to the generation that serves" generation=2`)
	s.signal(s.cmd.Process.Pid, syscall.SIGUSR1)
	second, generation := answers(t, s.addr)
	second.Close()
	if pid := atoi(t, s.file("usr1")); generation != 2 || pid == atoi(t, s.file("begun")) || pid == s.cmd.Process.Pid {
		t.Errorf("generation %d serves; USR1 reached pid %d", generation, pid)
	}
	s.signal(s.cmd.Process.Pid, syscall.SIGTERM)
	eventually(t, "generation 2 gone", func() bool { return refuses(s.addr) })
	if s.ended() {
		t.Error("the parent did not wait for the generation that drains")
	}
	first.Close()
	if got := s.waitStatus(); got != 2 {
		t.Errorf("status %d, want 2, which generation 2 ended with", got)
	}
}

// TestStayParentStopsBeforeNew: a stop ends a generation 1 that has not come to New yet as it ends any program.
func TestStayParentStopsBeforeNew(t *testing.T) {
	t.Parallel()
	s := start(t, "graded")
	s.file("begun")
	s.signal(s.cmd.Process.Pid, syscall.SIGTERM)
	if got := s.waitStatus(); got != 128+15 {
		t.Errorf("status %d", got)
	}
}

// TestStayParentEndsMutes: a successor that never speaks, and whose predecessor is dead, does not hold the sockets for ever.
func TestStayParentEndsMutes(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_STAY=on", "GRACE_TEST_START=500ms")
	s.waitUp()
	first := s.servingPID()
	s.behave("mute")
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	eventually(t, "the successor", func() bool { return len(s.pids()) == 3 })
	s.signal(first, syscall.SIGKILL)
	if got := s.waitStatus(); got != 128+9 {
		t.Errorf("status %d", got)
	}
}

// TestStayParentStopped: TERM to the parent ends everything with status 0, whatever goes on.
func TestStayParentStopped(t *testing.T) {
	t.Parallel()
	for _, moment := range []string{"before ready", "handing over", "probation", "draining"} {
		t.Run(moment, func(t *testing.T) {
			t.Parallel()
			program, probation := "full", "20s"
			switch moment {
			case "before ready":
				program = "slow start"
			case "draining":
				probation = "200ms"
			}
			s := start(t, program, "GRACE_TEST_STAY=on", "GRACE_TEST_PROBATION="+probation, "GRACE_TEST_DRAIN=60s")
			if moment == "before ready" {
				s.file("starting")
			} else {
				s.waitUp()
				s.servingPID()
			}
			held := io.NopCloser(nil)
			switch moment {
			case "handing over":
				s.behave("late")
				s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
				s.file("late")
			case "probation":
				s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
				s.waitLog("standing by")
			case "draining":
				c, err := net.Dial("tcp", s.addr) // keeps generation 1
				if err != nil {
					t.Fatal(err)
				}
				held = c
				eventually(t, "the connection accepted", func() bool { return established(t, s.addr) >= 1 })
				s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
				s.waitLog("handed over")
			}
			defer held.Close()
			s.signal(s.cmd.Process.Pid, syscall.SIGTERM)
			if got := s.waitStatus(); got != 0 {
				t.Errorf("status %d", got)
			}
		})
	}
}

// TestStayParentReaps: what is orphaned below the parent becomes its child, and leaves no zombie.
func TestStayParentReaps(t *testing.T) {
	t.Parallel()
	s := start(t, "orphans", "GRACE_TEST_STAY=on")
	s.waitUp()
	s.servingPID()
	eventually(t, "five orphans adopted", func() bool { return len(childrenOf(s.cmd.Process.Pid)) == 6 })
	eventually(t, "five orphans reaped", func() bool { return len(childrenOf(s.cmd.Process.Pid)) == 1 })
}

// childrenOf lists a process's children, zombies too.
func childrenOf(pid int) (list []int) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // each has its own
	for _, file := range threads {
		b, _ := os.ReadFile(file)
		for _, f := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(f); err == nil {
				list = append(list, n)
			}
		}
	}
	return list
}

// TestStayParentKilled: the generations serve on without the parent, and replace each other; a cold start on their
// address says who holds it, and ends.
func TestStayParentKilled(t *testing.T) {
	t.Parallel()
	addr := freePort(t)
	env := []string{"GRACE_TEST_STAY=on", "GRACE_TEST_PROBATION=200ms", "GRACE_TEST_LISTEN=" + addr}
	s := start(t, "full", env...)
	s.waitUp()
	second := s.replace(s.servingPID())
	s.signal(s.cmd.Process.Pid, syscall.SIGKILL)
	<-s.done
	s.waitLog("the parent that stayed is gone")
	if got := s.servingPID(); got != second {
		t.Fatalf("pid %d serves, want %d", got, second)
	}

	cold := start(t, "full", env...)
	if got := cold.waitStatus(); got != 1 {
		t.Errorf("the cold start: status %d, want 1", got)
	}
	want := fmt.Sprintf("address already in use by generation 2 of this program, pid %d, which survived its parent", second)
	if !strings.Contains(cold.log(), want) {
		t.Errorf("the cold start says\n%s\nwant %q", cold.log(), want)
	}

	s.signal(second, syscall.SIGHUP)
	eventually(t, "generation 3 alone", func() bool { return pidOf(t, addr) != second && len(s.pids()) == 1 })
	s.signal(s.servingPID(), syscall.SIGTERM)
	eventually(t, "every process gone", func() bool { return len(s.pids()) == 0 })
}

// TestStayParentBelowMiniInit: a process that a mini-init follows stays by itself. The control, below a
// program that is not known for it, is lost at the first handover.
func TestStayParentBelowMiniInit(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"tini", "other"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exe, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			link := filepath.Join(t.TempDir(), name)
			if err := os.Link(exe, link); err != nil {
				if err := os.Symlink(exe, link); err != nil { // another file system; comm is the name that was executed
					t.Fatal(err)
				}
			}
			s := launch(t, t.TempDir(), exec.Command(link), "init", "GRACE_TEST_EXE="+exe, "GRACE_TEST_PROBATION=200ms")
			s.waitUp()
			started, pid := atoi(t, s.file("started")), s.servingPID()
			s.signal(started, syscall.SIGHUP)
			if name == "other" {
				if pid != started {
					t.Errorf("pid %d serves, not %d, which was started", pid, started)
				}
				eventually(t, "the end of what the init followed", s.ended)
				return
			}
			eventually(t, "the next generation alone", func() bool { return pidOf(t, s.addr) != pid && len(s.pids()) == 3 })
			if s.ended() || pid == started {
				t.Errorf("ended %v, pid %d served, %d was started", s.ended(), pid, started)
			}
			s.signal(started, syscall.SIGTERM)
			if got := s.waitStatus(); got != 0 {
				t.Errorf("status %d", got)
			}
		})
	}
}

// TestStayParentLosesPredecessor: when the serving generation is killed in standby, the signals reach the one that took over.
func TestStayParentLosesPredecessor(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_STAY=on", "GRACE_TEST_PROBATION=1s")
	s.waitUp()
	first := s.servingPID()
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	s.waitLog("standing by")
	s.signal(first, syscall.SIGKILL)
	s.waitLog("the predecessor died")
	second := s.servingPID()
	third := s.replace(second)
	if first == second || second == third {
		t.Errorf("pids %d, %d, %d", first, second, third)
	}
	s.signal(s.cmd.Process.Pid, syscall.SIGTERM)
	if got := s.waitStatus(); got != 0 {
		t.Errorf("status %d", got)
	}
}

// TestStayParentReportsReadiness: below a service manager the parent is the main process, and says the one thing that is said.
func TestStayParentReportsReadiness(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := start(t, "full", "GRACE_TEST_STAY=on", "NOTIFY_SOCKET="+socket, "GRACE_TEST_PROBATION=200ms")
	s.waitUp()
	s.replace(s.servingPID())
	s.signal(s.cmd.Process.Pid, syscall.SIGTERM)
	s.waitStatus()
	var said []string
	for buf := make([]byte, 1000); ; {
		conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // everybody who could say more is gone
		n, err := conn.Read(buf)
		if err != nil {
			break
		}
		said = append(said, string(buf[:n]))
	}
	if len(said) != 1 || said[0] != "READY=1" {
		t.Errorf("the manager heard %q", said)
	}
}
