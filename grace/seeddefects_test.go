//go:build unix

package grace_test

import (
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/grace/role"
)

// What beego's grace module does wrong, and what keeps it from coming back. B numbers are ours.
//
//	B1  HUP panics a server with TLS                         TestBeegoPrograms/tls, /mutual, /several
//	B2  ServeWithListener inherits nothing                   TestServeWithListener
//	B3  a failed start ends the running server               TestHangupWithoutExecutable
//	B4  no second attempt after a failed one; zombies        TestHangupWithoutExecutable
//	B5  the listener left in blocking mode: TERM hangs       TestHangupWithoutExecutable, TestListenerStaysNonBlocking
//	B6  a version that adds a listener                       TestOtherListeners
//	B7  a version that changes a port                        TestOtherListeners
//	B8  a word before the flags                              TestBeegoPrograms/hooks
//	B9  arguments dropped and added                          TestHangupWithoutExecutable
//	B10 flags registered and parsed at import                TestNoFlags
//	B11 TERM to whoever is the parent by now                 nothing signals a parent; TestHangupWithoutExecutable has generations whose parent is gone
//	B12 TERM while starting is swallowed                     TestStopWhileStarting
//	B13 HUP before there is a listener                       TestHangupWhileStarting
//	B14 signals lost while a hook or the drain runs          TestHangingHooks
//	B15 two signal goroutines on one channel                 TestHooksOnce (Listen and Serve are two calls there)
//	B16 two servers with one address                         TestOneAddressTwice
//	B17 Unix sockets panic                                   TestOtherListeners
//	B18 inherited descriptors leak into helpers              TestNoDescriptorForHelpers
//	B19 state without synchronisation                        all of these, under the race detector
//	B20 clients queue on a socket that nobody serves         TestSuccessorDiesDuringDrain: the process that drains serves again
//	B21 no readiness, no start timeout, no way back          TestBadSuccessors, TestSuccessorKilledOnProbation
//	–   no HTTP/2, empty file names, junk authorities        TestBeegoPrograms/tls, TestCertificateWithoutFile, TestListenTLSRefuses
//	B22 Windows ends in a fatal exit                         no HUP there; Handover returns errors.ErrUnsupported

func init() { programs["seed"] = seedProgram }

// seedProgram starts a server for each line of the file "servers": network, address, and how it serves.
func seedProgram() {
	if b, _ := os.ReadFile("behaviour"); role.Current() == role.Successor && string(b) == "exit" {
		os.Exit(3)
	}
	grace.DefaultProbation = envDuration("GRACE_TEST_PROBATION", 300*time.Millisecond)
	grace.DefaultTimeout = 5 * time.Second
	note := func(what string) func() { return func() { log.Println("hook", what, os.Getpid()) } }
	shared := note("shared")
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", hello)
	mux.HandleFunc("/helper", func(w http.ResponseWriter, r *http.Request) { // the descriptors of a process that we start
		out, err := exec.Command("ls", "-l", "/proc/self/fd").CombinedOutput()
		fmt.Fprint(w, string(out), err)
	})
	mux.HandleFunc("/args", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%q", os.Args[1:]) })
	servers, err := os.ReadFile("servers")
	if err != nil {
		log.Fatal(err)
	}
	var wg sync.WaitGroup
	var failed atomic.Bool
	for i, line := range strings.Split(strings.TrimSpace(string(servers)), "\n") {
		f := strings.Fields(line)
		srv := grace.NewServer(f[1], mux, grace.WithShutdownCallback(note("callback "+strconv.Itoa(i))))
		srv.Network = f[0]
		for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} {
			srv.RegisterSignalHook(grace.PreSignal, s, note(fmt.Sprint("before ", s, " ", i)))
			srv.RegisterSignalHook(grace.PreSignal, s, shared)
			srv.RegisterSignalHook(grace.PostSignal, s, note(fmt.Sprint("after ", s, " ", i)))
		}
		if hang := os.Getenv("GRACE_TEST_HANG"); hang != "" {
			position, _ := strconv.Atoi(hang)
			for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM} {
				srv.RegisterSignalHook(position, s, func() { note("hangs")(); select {} })
			}
		}
		wg.Go(func() {
			if err := serveAs(srv, f[2], i); err != nil {
				log.Printf("server %d: %v", i, err)
				failed.Store(true)
			}
		})
	}
	wg.Wait()
	if failed.Load() {
		os.Exit(1)
	}
	log.Println("stopped", os.Getpid())
}

// serveAs returns when the server has ended.
func serveAs(srv *grace.Server, how string, i int) error {
	listen := srv.Listen
	switch how {
	case "plain":
		return srv.ListenAndServe()
	case "certificate":
		srv.TLSConfig = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			cert, err := tls.LoadX509KeyPair("cert.pem", "key.pem")
			return &cert, err
		}}
		return srv.ListenAndServeTLS("", "")
	case "foreign":
		listen = func() (net.Listener, error) { return net.Listen(srv.Network, srv.Addr) }
	}
	ln, err := listen()
	if err != nil {
		return err
	}
	os.WriteFile("addr"+strconv.Itoa(i), []byte(ln.Addr().String()), 0o600)
	switch how {
	case "wrapped":
		ln = struct{ net.Listener }{ln}
	case "late":
		for _, err := os.Stat("go"); err != nil; _, err = os.Stat("go") {
			time.Sleep(2 * time.Millisecond) // between two looks
		}
	case "listen":
		return srv.Serve()
	}
	return srv.ServeWithListener(ln)
}

// startSeed starts seedProgram, from an executable in its own directory.
func startSeed(t *testing.T, servers []string, env ...string) *server {
	t.Helper()
	dir := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Link(exe, filepath.Join(dir, "app")); err != nil {
		t.Fatal(err)
	}
	declare(t, dir, servers...)
	return startProgram(t, dir, "app", append([]string{"GRACE_TEST_PROGRAM=seed", "GORACE=halt_on_error=1"}, env...),
		"serve", "-x", "--", "-graceful", "the rest")
}

// declare says which servers a process that starts from now on has.
func declare(t *testing.T, dir string, servers ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "servers"), []byte(strings.Join(servers, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

// restart sends HUP to the only process and returns its successor when that is alone.
func (s *server) restart() int {
	s.t.Helper()
	pids := s.pids()
	if len(pids) != 1 {
		s.t.Fatalf("processes %v before a restart", pids)
	}
	old := pids[0]
	s.signal(old, syscall.SIGHUP)
	eventually(s.t, "the successor alone", func() bool {
		pids = s.pids()
		return len(pids) == 1 && pids[0] != old
	})
	return pids[0]
}

// stop sends TERM to the process and waits until none is left.
func (s *server) stop(pid int) {
	s.t.Helper()
	s.signal(pid, syscall.SIGTERM)
	eventually(s.t, "the end", func() bool { return len(s.pids()) == 0 })
}

// TestServeWithListener: what Listen opened is handed over, also when the program has wrapped it. What net.Listen opened is refused
// at the first call.
func TestServeWithListener(t *testing.T) {
	t.Parallel()
	a, b := freePort(t), freePort(t)
	s := startSeed(t, []string{"tcp " + a + " listen", "tcp " + b + " wrapped"})
	for _, addr := range []string{a, b} {
		s.addr = addr
		s.waitUp()
	}
	fresh := s.restart()
	if pidOf(t, a) != fresh || pidOf(t, b) != fresh {
		t.Error("not handed over")
	}
	s.stop(fresh)

	s = startSeed(t, []string{"tcp " + a + " foreign"})
	<-s.done
	if s.cmd.ProcessState.Success() || !strings.Contains(s.log(), "replace net.Listen by the server's Listen") {
		t.Errorf("not refused: %s", s.cmd.ProcessState)
	}
}

// TestHangupWithoutExecutable: whatever stands at the install path, the server that runs serves on, and the next HUP counts.
func TestHangupWithoutExecutable(t *testing.T) {
	t.Parallel()
	addr := freePort(t)
	s := startSeed(t, []string{"tcp " + addr + " plain"})
	s.addr = addr
	s.waitUp()
	app, away := filepath.Join(s.dir, "app"), filepath.Join(s.dir, "away")
	move := func(from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	failures := 0
	fails := func() {
		t.Helper()
		pid := pidOf(t, addr)
		s.signal(pid, syscall.SIGHUP)
		failures++
		eventually(t, "the failure", func() bool { return strings.Count(s.log(), "ERROR hot restart") == failures })
		if got := pidOf(t, addr); got != pid {
			t.Errorf("pid %d answers, want %d", got, pid)
		}
		eventually(t, "no child left", func() bool { return len(children(pid)) == 0 })
	}
	args, err := get(addr, "/args")
	if err != nil {
		t.Fatal(err)
	}

	move(app, away)
	fails() // it is missing
	if err := os.WriteFile(app, []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	fails() // it exits
	move(away, app)
	s.restart()
	if got, err := get(addr, "/args"); got != args || err != nil || !strings.Contains(args, `"-graceful" "the rest"`) {
		t.Errorf("arguments %s, %v; want %s", got, err, args)
	}
	fresh := s.restart() // its parent is gone
	move(app, away)
	fails()
	s.stop(fresh) // at once, as before the failure
}

// children lists the processes that have this parent, zombies too.
func children(parent int) (list []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range files {
		b, _ := os.ReadFile(f)
		_, rest, _ := strings.Cut(string(b), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			list = append(list, string(b))
		}
	}
	return list
}

// TestOtherListeners: a new version adds a listener in first place, keeps one, moves one and drops a Unix socket for another.
func TestOtherListeners(t *testing.T) {
	t.Parallel()
	kept, before, after, added := freePort(t), freePort(t), freePort(t), freePort(t)
	s := startSeed(t, []string{"tcp " + kept + " plain", "tcp " + before + " plain", "unix one.sock plain", "unix both.sock plain"})
	for _, addr := range []string{kept, before} {
		s.addr = addr
		s.waitUp()
	}
	declare(t, s.dir, "tcp "+added+" plain", "tcp4 "+after+" plain", "unix two.sock plain", "unix both.sock plain", "tcp "+kept+" plain")
	fresh := s.restart()
	for _, addr := range []string{added, kept, after} {
		if got := pidOf(t, addr); got != fresh {
			t.Errorf("pid %d answers on %s, want %d", got, addr, fresh)
		}
	}
	for _, path := range []string{"both.sock", "two.sock"} {
		if conn, err := net.Dial("unix", filepath.Join(s.dir, path)); err != nil {
			t.Error(err)
		} else {
			conn.Close()
		}
	}
	if conn, err := net.Dial("tcp", before); err == nil {
		conn.Close()
		t.Error("what the new version does not listen on is still open")
	}
	s.stop(fresh)
	for _, path := range []string{"one.sock", "both.sock", "two.sock"} {
		if _, err := os.Lstat(filepath.Join(s.dir, path)); err == nil {
			t.Errorf("%s is left behind", path)
		}
	}
}

// TestNoFlags: the import registers and parses nothing. (testing has parsed them here, so the programs of testdata show the second.)
func TestNoFlags(t *testing.T) {
	for _, name := range []string{"graceful", "socketorder"} {
		if flag.Lookup(name) != nil {
			t.Errorf("flag -%s is registered", name)
		}
	}
}

// TestStopWhileStarting: TERM before readiness ends a process, in both generations, and does not end its predecessor.
func TestStopWhileStarting(t *testing.T) {
	t.Parallel()
	addr := freePort(t)
	late := []string{"tcp " + addr + " late"}
	s := startSeed(t, late)
	s.file("addr0")
	s.signal(s.cmd.Process.Pid, syscall.SIGTERM)
	eventually(t, "the TERM", func() bool {
		return strings.Contains(s.log(), "msg=draining") || strings.Contains(s.log(), "INFO draining")
	})
	os.WriteFile(filepath.Join(s.dir, "go"), nil, 0o600) // its main goes on
	s.waitEnd(20 * time.Second)

	s = startSeed(t, []string{"tcp " + addr + " plain"})
	s.addr = addr
	s.waitUp()
	old := s.cmd.Process.Pid
	declare(t, s.dir, late...)
	s.signal(old, syscall.SIGHUP)
	s.file("addr0")
	for _, pid := range s.pids() {
		if pid != old {
			s.signal(pid, syscall.SIGTERM)
		}
	}
	s.waitLog("ERROR hot restart")
	if got := pidOf(t, addr); got != old {
		t.Errorf("pid %d answers, want %d", got, old)
	}
	s.stop(old)
}

// TestHangupWhileStarting: a HUP before readiness is kept, and carried out then. It is also the case of a program that listens first and serves
// much later: its successor is ready only when it serves.
func TestHangupWhileStarting(t *testing.T) {
	t.Parallel()
	addr, other := freePort(t), freePort(t)
	s := startSeed(t, []string{"tcp " + addr + " late"})
	s.file("addr0")
	old := s.cmd.Process.Pid
	s.signal(old, syscall.SIGHUP)
	declare(t, s.dir, "tcp "+addr+" late", "tcp "+other+" plain")
	os.WriteFile(filepath.Join(s.dir, "go"), nil, 0o600)
	s.waitEnd(20 * time.Second)
	os.Remove(filepath.Join(s.dir, "go"))
	pids := s.pids()
	if len(pids) != 1 || pids[0] == old {
		t.Fatalf("processes %v after a HUP that came early to pid %d", pids, old)
	}
	s.signal(pids[0], syscall.SIGHUP)
	s.waitLog("not ready: nobody serves on a listener that was opened")
	if got := pidOf(t, addr); got != pids[0] {
		t.Errorf("pid %d answers while its successor has not begun to serve", got)
	}
	os.WriteFile(filepath.Join(s.dir, "go"), nil, 0o600)
	eventually(t, "the successor", func() bool { now := s.pids(); return len(now) == 1 && now[0] != pids[0] })
	s.stop(s.pids()[0])
}

// TestCertificateWithoutFile: empty file names mean that TLSConfig has the certificate, as with autocert.
func TestCertificateWithoutFile(t *testing.T) {
	t.Parallel()
	addr := freePort(t)
	s := startSeed(t, []string{"tcp " + addr + " certificate"})
	writeCertificate(t, s.dir)
	s.addr = addr
	s.waitUp()
	c := newClient(t, s.dir, addr, true)
	fresh := s.restart()
	if got := c.get(); got != fmt.Sprint("WORLD!ospid:", fresh) || c.proto() != "h2" {
		t.Errorf("answer %q by %q", got, c.proto())
	}
	s.stop(fresh)
}

// TestOneAddressTwice: the second server of an address gets the error of bind, the first one is as good as ever. Two that ask for any
// port keep the two that they got.
func TestOneAddressTwice(t *testing.T) {
	t.Parallel()
	addr := freePort(t)
	s := startSeed(t, []string{"tcp " + addr + " plain", "tcp " + addr + " plain"})
	s.addr = addr
	s.waitUp()
	s.waitLog("address already in use")
	fresh := s.restart()
	if got := pidOf(t, addr); got != fresh {
		t.Errorf("pid %d answers, want %d", got, fresh)
	}
	s.stop(fresh)

	s = startSeed(t, []string{"tcp 127.0.0.1:0 listen", "tcp 127.0.0.1:0 listen"})
	a, b := s.file("addr0"), s.file("addr1")
	fresh = s.restart()
	if a == b || pidOf(t, a) != fresh || pidOf(t, b) != fresh {
		t.Errorf("ports %s and %s were not handed over", a, b)
	}
	s.stop(fresh)
}

// TestNoDescriptorForHelpers: what a process inherited or opened is not for the processes that its application starts.
func TestNoDescriptorForHelpers(t *testing.T) {
	t.Parallel()
	addr := freePort(t)
	s := startSeed(t, []string{"tcp " + addr + " plain"})
	s.addr = addr
	s.waitUp()
	s.restart()
	out, err := get(addr, "/helper")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out, "socket:") || !strings.Contains(out, " 2 -> ") {
		t.Errorf("a helper has\n%s", out)
	}
	s.stop(pidOf(t, addr))
}
