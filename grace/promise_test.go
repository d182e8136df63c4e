//go:build unix

package grace_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moult-go/moult/grace/gracetest"
)

// The promises at a tenth of their figure; MOULT_PROMISES=full asks for the whole.
func promised(full int) int {
	if os.Getenv("MOULT_PROMISES") == "full" {
		return full
	}
	return full / 10
}

// TestPromiseG1: no failed request over upgrades, on connections of every kind; nobody retries.
func TestPromiseG1(t *testing.T) {
	s := start(t, "full", "GRACE_TEST_PROBATION=150ms")
	s.waitUp()
	report, upgrades := underLoad(t, s, everyKind, promised(100), promised(250_000))
	if _, failures := report.Total(); failures > 0 || report.Closed > 0 {
		t.Errorf("%d requests failed and %d silent connections were closed over %d upgrades", failures, report.Closed, upgrades)
	}
}

// TestPromiseG1Control: the same load finds the losses of a server that hands over its socket and calls
// http.Server.Shutdown, as every Go peer does.
func TestPromiseG1Control(t *testing.T) {
	s := start(t, "shutdown")
	s.waitUp()
	report, _ := underLoad(t, s, everyKind, 10, 1000)
	if _, failures := report.Total(); failures == 0 || report.Closed == 0 {
		t.Error("the control lost nothing: the load does not see what it is there to see")
	}
}

// TestManyIdleConnections: 1,200 kept-alive connections that speak every one to three seconds, half of them a round trip of 10 ms
// away. That is when a client's request and the server's end of an idle connection cross.
func TestManyIdleConnections(t *testing.T) {
	s := start(t, "full", "GRACE_TEST_PROBATION=500ms", "GRACE_TEST_DRAIN=30s", "GRACE_TEST_HEALTH=1s")
	s.waitUp()
	report, upgrades := underLoad(t, s, gracetest.Options{Idle: 600, Distant: 600, IdlePause: 2 * time.Second}, promised(100), 1200)
	if _, failures := report.Total(); failures > 0 {
		t.Errorf("%d requests failed over %d upgrades", failures, upgrades)
	}
}

// everyKind is the load of the promise.
var everyKind = gracetest.Options{KeepAlive: 8, Idle: 20, New: 4, Slow: 4, Bytewise: 2,
	Pipelined: 4, Streaming: 4, Distant: 20, Hold: 10, Late: 4, Silent: 50, HoldPause: time.Second, LatePause: 300 * time.Millisecond}

// underLoad sends HUP after HUP, each when the one before is through, until both figures are reached.
func underLoad(t *testing.T, s *server, o gracetest.Options, upgrades, atLeast int) (report gracetest.Report, done int) {
	t.Helper()
	o.Addr, o.Path, o.SlowPath, o.StreamPath = s.addr, "/hello", "/hello?sleep=0.3", "/stream"
	load := gracetest.Start(o)
	for done < upgrades || load.Requests() < atLeast {
		pid := s.pids()[0]
		s.signal(pid, syscall.SIGHUP)
		eventually(t, "the next generation", func() bool { return len(s.pids()) == 2 })
		eventually(t, "the predecessor's end", func() bool { return len(s.pids()) == 1 })
		eventually(t, "serving", func() bool { v, err := get(s.addr, "/state"); return err == nil && v == "serving" })
		done++
	}
	report = load.Stop()
	requests, failures := report.Total()
	t.Logf("%d of %d requests failed over %d upgrades\n%v", failures, requests, done, report)
	for kind, n := range report.Requests {
		if n < done {
			t.Errorf("only %d requests of kind %s over %d upgrades", n, kind, done)
		}
	}
	return report, done
}

// shutdownProgram is the control: fork-exec with the inherited socket, then http.Server.Shutdown.
func shutdownProgram() {
	hup := hangups()
	var ln net.Listener
	var err error
	ready := os.Getenv("GRACE_TEST_READY") != ""
	if ready {
		ln, err = net.FileListener(os.NewFile(3, "listener"))
	} else {
		ln, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", hello)
	mux.HandleFunc("/stream", gracetest.Stream)
	mux.HandleFunc("/state", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "serving") })
	srv := &http.Server{Handler: mux}
	go srv.Serve(ln)
	if ready {
		os.NewFile(4, "ready").Close()
	}
	os.WriteFile("addr", []byte(ln.Addr().String()), 0o600)
	<-hup
	raw, err := ln.(*net.TCPListener).SyscallConn() // File would put the listener into blocking mode, and Shutdown would hang
	if err != nil {
		log.Fatal(err)
	}
	var fd int
	if err := raw.Control(func(l uintptr) { fd, err = unix.FcntlInt(l, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		log.Fatal(err)
	}
	if err != nil {
		log.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "listener")
	r, w, err := os.Pipe()
	if err != nil {
		log.Fatal(err)
	}
	exe, _ := os.Executable()
	cmd := exec.Command(exe)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "GRACE_TEST_READY=1")
	cmd.ExtraFiles = []*os.File{f, w}
	if err := cmd.Start(); err != nil {
		log.Fatal(err)
	}
	w.Close()
	r.Read(make([]byte, 1))
	if err := srv.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// TestPromiseG17: 100 askers at once get one handover; 99 are told busy. 100 HUPs during it make one more, after the commit.
func TestPromiseG17(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=1s", "GRACE_TEST_DRAIN=2s")
	s.waitUp()
	askers := make([]*keepAlive, 100) // all connected to generation 1
	for i := range askers {
		askers[i] = dialKeepAlive(t, s.addr)
	}
	verdicts := make(chan string, len(askers))
	for _, a := range askers {
		go func() { verdicts <- a.get(t, "/upgrade") }()
	}
	s.waitLog("standing by")
	for range 100 {
		s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	}
	count := map[string]int{}
	for range askers {
		v, _, _ := strings.Cut(<-verdicts, "|")
		count[v]++
	}
	if count["ok"] != 1 || count["error"] != 99 {
		t.Errorf("verdicts %v, want 1 ok and 99 busy", count)
	}
	eventually(t, "generation 3 alone", func() bool {
		return len(s.pids()) == 1 && strings.Contains(s.log(), "to=3")
	})
	if strings.Contains(s.log(), "to=4") {
		t.Error("more than one HUP was kept")
	}
}

// TestPromiseG16: descriptors, goroutines, zombies and environment stay flat over upgrades.
func TestPromiseG16(t *testing.T) {
	s := start(t, "full", "GRACE_TEST_PROBATION=30ms")
	s.waitUp()
	var first, last string
	for i := range promised(100) {
		pid := pidOf(t, s.addr)
		eventually(t, "serving", func() bool { v, err := get(s.addr, "/state"); return err == nil && v == "serving" })
		weight, err := get(s.addr, "/weight")
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			first = weight
		}
		last = weight
		s.signal(pid, syscall.SIGHUP)
		eventually(t, "the next generation alone", func() bool { return pidOf(t, s.addr) != pid && len(s.pids()) == 1 })
	}
	var a, b [3]int // descriptors, goroutines, variables; a connection more or less may be open at the moment of the look
	fmt.Sscan(first, &a[0], &a[1], &a[2])
	fmt.Sscan(last, &b[0], &b[1], &b[2])
	if b[0] > a[0]+2 || b[1] > a[1]+4 || b[2] != a[2] || a[2] == 0 {
		t.Errorf("descriptors, goroutines and variables: generation 2 has %v, the last one %v", a, b)
	}
	if n := zombies(s.dir); n > 0 {
		t.Errorf("%d zombies", n)
	}
}

// zombies counts children of the test's line of processes that nobody has reaped; a dead process has no directory
// any more, so they are looked for among the children of the living.
func zombies(dir string) (n int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if cwd, _ := os.Readlink(filepath.Join("/proc", e.Name(), "cwd")); cwd != dir {
			continue
		}
		threads, _ := filepath.Glob(filepath.Join("/proc", e.Name(), "task", "*", "children")) // each has those that it has made
		for _, file := range threads {
			children, _ := os.ReadFile(file)
			for _, c := range strings.Fields(string(children)) {
				if stat, _ := os.ReadFile("/proc/" + c + "/stat"); strings.Contains(string(stat), ") Z ") {
					n++
				}
			}
		}
	}
	return n
}

// TestPromiseG10: a successor that stops answering is taken back within three health intervals, and a client that came
// meanwhile only waits. The control, without votes, leaves it waiting.
func TestPromiseG10(t *testing.T) {
	const interval, slack = time.Second, time.Second
	for _, c := range []struct {
		name     string
		interval string
		back     bool
	}{{"votes", interval.String(), true}, {"control without votes", "1h", false}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, "full", "GRACE_TEST_PROBATION=60s", "GRACE_TEST_HEALTH="+c.interval)
			s.waitUp()
			old := pidOf(t, s.addr)
			s.signal(old, syscall.SIGHUP)
			s.waitLog("standing by")
			next := pidOf(t, s.addr)
			s.freeze(next)
			answer := make(chan int, 1)
			go func() {
				body, _ := get(s.addr, "/hello")
				_, pid, _ := strings.Cut(body, "ospid:")
				n, _ := strconv.Atoi(pid)
				answer <- n
			}()
			select {
			case pid := <-answer:
				if !c.back || pid != old {
					t.Errorf("pid %d answered; the old one is %d, the stopped one %d", pid, old, next)
				}
			case <-time.After(3*interval + slack):
				if c.back {
					t.Errorf("no answer within three intervals")
				}
			}
		})
	}
}
