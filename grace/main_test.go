//go:build unix

package grace_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The test binary plays every process: programs maps the value of GRACE_TEST_PROGRAM to what it then is.
// A successor inherits the variable, and so is the same program; what sets it apart, it reads from the file
// "behaviour" in its working directory.
var programs = map[string]func(){
	"dropin":   dropInProgram,
	"https":    httpsProgram,
	"shutdown": shutdownProgram,
	"two":      twoServersProgram,
	"full":     fullProgram,
	"echo":     echoProgram,
	"quiet":    quietProgram,
}

func TestMain(m *testing.M) {
	if name, ok := os.LookupEnv("GRACE_TEST_PROGRAM"); ok {
		programs[name]() // an unknown one panics
		return
	}
	// The tests wait for other processes most of the time, so more of them run at once than there are processors.
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		f.Value.Set(strconv.Itoa(4 * runtime.GOMAXPROCS(0)))
	}
	os.Exit(m.Run())
}

// A server is one line of real processes, beginning with the one that the test started.
type server struct {
	t    testing.TB
	dir  string
	addr string
	cmd  *exec.Cmd
	done chan struct{} // closed when generation 1 has ended
}

func start(t testing.TB, program string, env ...string) *server {
	t.Helper()
	return startIn(t, t.TempDir(), program, env...)
}

func startIn(t testing.TB, dir, program string, env ...string) *server {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return startExe(t, exe, dir, program, env...)
}

func startExe(t testing.TB, exe, dir, program string, env ...string) *server {
	t.Helper()
	return launch(t, dir, exec.Command(exe), program, env...)
}

// launch starts a command that is, or becomes, the test binary.
func launch(t testing.TB, dir string, cmd *exec.Cmd, program string, env ...string) *server {
	t.Helper()
	s := &server{t: t, dir: dir, cmd: cmd, done: make(chan struct{})}
	logFile, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer logFile.Close()
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.dir, logFile, logFile
	if program == "quiet" { // what it says on standard error, nobody reads
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		defer w.Close()
		s.cmd.Stderr = w
	}
	s.cmd.Env = append(os.Environ(), append([]string{"GRACE_TEST_PROGRAM=" + program, "GORACE=halt_on_error=1"}, env...)...)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.cmd.Wait()
		close(s.done)
	}()
	t.Cleanup(s.cleanup)
	return s
}

// cleanup kills whatever still runs in the test's directory, and fails the test on a data race.
func (s *server) cleanup() {
	for _, pid := range s.pids() {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	<-s.done
	eventually(s.t, "every process gone", func() bool { return len(s.pids()) == 0 })
	text := s.log()
	if strings.Contains(text, "DATA RACE") || s.t.Failed() {
		s.t.Errorf("log of the server:\n%s", text)
	}
}

// pids finds the line of processes by their working directory.
func (s *server) pids() (list []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if cwd, _ := os.Readlink(filepath.Join("/proc", e.Name(), "cwd")); cwd == s.dir {
			if stat, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "stat")); !bytes.Contains(stat, []byte(") Z ")) {
				list = append(list, pid)
			}
		}
	}
	return list
}

func (s *server) log() string {
	b, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(b)
}

func (s *server) behave(how string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "behaviour"), []byte(how), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) signal(pid int, sig syscall.Signal) {
	s.t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		s.t.Fatal(err)
	}
}

// freeze stops a process, which takes effect a moment after the signal.
func (s *server) freeze(pid int) {
	s.t.Helper()
	s.signal(pid, syscall.SIGSTOP)
	eventually(s.t, "stopped", func() bool {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return strings.Contains(string(stat), ") T ")
	})
}

// file waits for a file that the program writes, and returns its content.
func (s *server) file(name string) string {
	s.t.Helper()
	var b []byte
	eventually(s.t, "file "+name, func() bool {
		b, _ = os.ReadFile(filepath.Join(s.dir, name))
		return len(b) > 0
	})
	return string(b)
}

func (s *server) waitLog(text string) {
	s.t.Helper()
	eventually(s.t, "log line "+text, func() bool { return strings.Contains(s.log(), text) })
}

func (s *server) waitUp() {
	s.t.Helper()
	if s.addr == "" {
		s.addr = s.file("addr")
	}
	eventually(s.t, "server on "+s.addr, func() bool {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}

// waitEnd waits until generation 1 has ended, and fails unless its status is 0.
func (s *server) waitEnd(within time.Duration) {
	s.t.Helper()
	select {
	case <-s.done:
		if !s.cmd.ProcessState.Success() {
			s.t.Fatalf("generation 1: %s", s.cmd.ProcessState)
		}
	case <-time.After(within):
		s.t.Fatalf("generation 1 still runs after %s", within)
	}
}

// get makes one request on a connection of its own and never retries.
func get(addr, path string) (string, error) { return getWithin(30*time.Second, addr, path) }

func getWithin(patience time.Duration, addr, path string) (string, error) {
	tr := &http.Transport{DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr, Timeout: patience}).Get("http://" + addr + path)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", res.Status)
	}
	return string(b), err
}

func pidOf(t testing.TB, addr string) int {
	t.Helper()
	body, err := get(addr, "/hello")
	if err != nil {
		t.Fatal(err)
	}
	_, s, _ := strings.Cut(body, "ospid:")
	pid, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("no pid in %q", body)
	}
	return pid
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if cond() {
			return
		}
		time.Sleep(2 * time.Millisecond) // between two looks
	}
	t.Fatalf("not within 20 s: %s", what)
}

// freePort returns a loopback address that nothing listens on. It lies below the ports that Linux gives to clients (32768 and up):
// with thousands of connections about, one of those would be somebody's own by the time a server asks for it.
func freePort(t *testing.T) string {
	t.Helper()
	for {
		addr := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(22000))
		if _, taken := givenPorts.LoadOrStore(addr, true); taken {
			continue
		}
		if ln, err := net.Listen("tcp", addr); err == nil {
			ln.Close()
			return addr
		}
	}
}

var givenPorts sync.Map
