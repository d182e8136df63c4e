//go:build unix

package grace_test

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moult-go/moult/grace"
)

// fromManager is the start of a program as a service manager does it: descriptors from 3 on, and variables that name
// them and the process they are for.
func fromManager(t *testing.T, names string, files ...*os.File) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0"`, executable(t))
	cmd.ExtraFiles = files
	cmd.Env = []string{fmt.Sprintf("LISTEN_FDS=%d", len(files)), "LISTEN_FDNAMES=" + names}
	return cmd
}

// made is a socket as a manager makes it, which keeps its own copy.
func made(t *testing.T, network, address string) (*os.File, string) {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	t.Cleanup(func() { ln.Close() })
	f, err := ln.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, ln.Addr().String()
}

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':'):] }

// TestSocketsOfAManager: they are claimed by name, or by what they really are, and travel on; the variables are gone, no
// descriptor leaks into other programs, and no generation removes the path of a Unix one.
func TestSocketsOfAManager(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	byName, nameAddr := made(t, "tcp", "127.0.0.1:0")
	byAddr, addr := made(t, "tcp", "127.0.0.1:0")
	both, bothAddr := made(t, "tcp", ":0")
	path := filepath.Join(dir, "unit.sock")
	onPath, _ := made(t, "unix", path)
	cmd := fromManager(t, "web:hello.socket:hello.socket:hello.socket", byName, byAddr, both, onPath)
	plan := []string{"helper early", "open tcp 127.0.0.1:1 web", "open tcp " + port(bothAddr), "open tcp " + addr + " api", "open unix unit.sock"}
	s := startPlan(t, dir, cmd, plan...)
	want := strings.Join([]string{nameAddr, bothAddr, addr, path}, " ")
	usual := usualDescriptors(t)
	for g := 1; g <= 3; g++ {
		if got := strings.Join(s.addrs(g), " "); got != want {
			t.Fatalf("generation %d listens on %s, want %s", g, got, want)
		}
		for _, a := range []string{nameAddr, addr, "127.0.0.1" + port(bothAddr), "[::1]" + port(bothAddr), path} {
			if got := s.askAt(a, "/generation"); got != fmt.Sprint(g) {
				t.Errorf("generation %s answers at %s, want %d", got, a, g)
			}
		}
		if text := s.file("early"); strings.Contains(text, "LISTEN_") || !among(descriptors(text), usual) {
			t.Errorf("generation %d: a helper sees\n%s", g, text)
		}
		if g < 3 {
			os.Remove(filepath.Join(dir, "early"))
			s.upgradeAt(addr)
		}
	}
	s.stopAt(addr)
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the manager's path is gone: %v", err)
	}
	if text := s.log(); strings.Contains(text, "WARN") {
		t.Error("a warning")
	}
}

func init() { programs["one by one"] = oneByOneProgram }

// oneByOneProgram takes its time between its two servers.
func oneByOneProgram() {
	one, other, _ := strings.Cut(os.Getenv("GRACE_TEST_ADDR"), ",")
	http.HandleFunc("/hello", hello)
	go grace.ListenAndServe(one, nil)
	time.Sleep(300 * time.Millisecond) // the time it takes
	log.Fatal(grace.ListenAndServe(other, nil))
}

// TestDropInOfAManager: ListenAndServe takes its sockets by their address, and is ready when all are claimed.
func TestDropInOfAManager(t *testing.T) {
	t.Parallel()
	one, addr := made(t, "tcp", "127.0.0.1:0")
	other, otherAddr := made(t, "tcp", "127.0.0.1:0")
	cmd := fromManager(t, "hello.socket:hello.socket", one, other)
	s := launch(t, t.TempDir(), cmd, "one by one", append(cmd.Env, "GRACE_TEST_ADDR="+addr+","+otherAddr)...)
	for _, a := range []string{addr, otherAddr} {
		if got := pidOf(t, a); got != s.cmd.Process.Pid {
			t.Errorf("pid %d answers", got)
		}
	}
	if strings.Contains(s.log(), "WARN") {
		t.Error("a warning")
	}
}

// TestSocketsForAnotherProcess are not ours, nor are the variables: a child may be meant.
func TestSocketsForAnotherProcess(t *testing.T) {
	t.Parallel()
	f, addr := made(t, "tcp", "127.0.0.1:0")
	cmd := exec.Command(executable(t))
	cmd.ExtraFiles = []*os.File{f}
	cmd.Env = []string{"LISTEN_PID=1", "LISTEN_FDS=1", "LISTEN_FDNAMES=web"}
	s := startPlan(t, t.TempDir(), cmd, "helper early", "open tcp 127.0.0.1:0 web")
	if got := s.addrs(1)[0]; got == addr {
		t.Errorf("it listens on %s", got)
	}
	if text := s.file("early"); !strings.Contains(text, "LISTEN_FDS=1") {
		t.Error("the variables are gone")
	}
}

// TestUnclaimedSocketOfAManager: nobody serves it, and everybody is told; a later version may.
func TestUnclaimedSocketOfAManager(t *testing.T) {
	t.Parallel()
	used, addr := made(t, "tcp", "127.0.0.1:0")
	spare, spareAddr := made(t, "tcp", "127.0.0.1:0")
	s := startPlan(t, t.TempDir(), fromManager(t, "web:spare", used, spare), "open tcp 127.0.0.1:0 web")
	s.addrs(1)
	s.waitLog("a socket of the service manager that this version does not listen on")
	s.upgradeAt(addr)
	s.addrs(2)
	s.plan("open tcp 127.0.0.1:0 web", "open tcp 127.0.0.1:0 spare")
	s.upgradeAt(addr)
	s.addrs(3)
	if got := s.askAt(spareAddr, "/generation"); got != "3" {
		t.Errorf("generation %s answers", got)
	}
	s.plan("open tcp 127.0.0.1:0 web")
	s.upgradeAt(addr) // a version that drops it does not close it
	s.addrs(4)
	s.plan("open tcp 127.0.0.1:0 web", "open tcp 127.0.0.1:0 spare")
	s.upgradeAt(addr)
	s.addrs(5)
	if got := s.askAt(spareAddr, "/generation"); got != "5" {
		t.Errorf("generation %s answers", got)
	}
}

// TestPortForAFile: a port does not serve what was to be guarded by the mode of a file.
func TestPortForAFile(t *testing.T) {
	t.Parallel()
	f, _ := made(t, "tcp", "127.0.0.1:0")
	s := startPlan(t, t.TempDir(), fromManager(t, "admin", f), "open unix admin.sock admin")
	if got := s.addrs(1)[0]; got != "admin.sock" {
		t.Errorf("it listens on %s", got)
	}
	s.waitLog("a socket of the service manager that this version does not listen on")
}

// TestSocketUnitMistakes: what cannot be listened on is refused, with the line of the unit to mend.
func TestSocketUnitMistakes(t *testing.T) {
	t.Parallel()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	datagram, err := packets.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer datagram.Close()
	_, addr := made(t, "tcp", "127.0.0.1:0")
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	connection, err := conn.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	for want, f := range map[string]*os.File{"ListenStream=": datagram, "Accept=no": connection} {
		s := startPlan(t, t.TempDir(), fromManager(t, "web", f), "open tcp 127.0.0.1:0 web")
		select {
		case <-s.done:
		case <-time.After(20 * time.Second):
			t.Fatal("it serves")
		}
		if !strings.Contains(s.log(), want) || s.cmd.ProcessState.Success() {
			t.Errorf("%s: %s, log %q", want, s.cmd.ProcessState, s.log())
		}
	}
}

// TestFileOfAManager is what OpenFile= passes.
func TestFileOfAManager(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "elsewhere"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := startPlan(t, dir, fromManager(t, "journal", f), "helper early", "open tcp 127.0.0.1:0", "file journal")
	if fds := descriptors(s.file("early")); !among(fds, usualDescriptors(t)) {
		t.Errorf("a helper has descriptors %q", fds)
	}
	s.upgradeAt(s.addrs(1)[0])
	s.addrs(2)
	if got := s.file("elsewhere"); got != "generation 1\ngeneration 2\n" {
		t.Errorf("%q", got)
	}
}

// TestSocketsBelowAParent: what was passed to the process that stays, the generations get.
func TestSocketsBelowAParent(t *testing.T) {
	t.Parallel()
	f, addr := made(t, "tcp", "127.0.0.1:0")
	cmd := fromManager(t, "web", f)
	cmd.Env = append(cmd.Env, "GRACE_TEST_STAY=on")
	s := startPlan(t, t.TempDir(), cmd, "helper early", "open tcp 127.0.0.1:1 web")
	if got := s.addrs(1)[0]; got != addr {
		t.Fatalf("it listens on %s, want %s", got, addr)
	}
	if text := s.file("early"); strings.Contains(text, "LISTEN_") || !among(descriptors(text), usualDescriptors(t)) {
		t.Errorf("a helper sees\n%s", text)
	}
	s.upgradeAt(addr)
	s.addrs(2)
	s.stopAt(addr)
}

// TestSocketActivate is the same by systemd's own tool, which starts us at the first connection.
func TestSocketActivate(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Skip("needs systemd: ", err)
	}
	addr := freePort(t)
	cmd := exec.Command(tool, "-l", addr, "--fdname=web", "-E", "GRACE_TEST_PROGRAM", "-E", "GORACE", executable(t))
	s := startPlan(t, t.TempDir(), cmd, "open tcp :1 web")
	eventually(t, "the tool listens", func() bool { return !refused(addr) })
	if got := s.addrs(1)[0]; got != addr {
		t.Fatalf("it listens on %s, want %s", got, addr)
	}
	s.upgradeAt(addr)
	s.addrs(2)
	if got := s.askAt(addr, "/generation"); got != "2" {
		t.Errorf("generation %s answers", got)
	}
	s.signal(pidOf(t, addr), syscall.SIGTERM)
}
