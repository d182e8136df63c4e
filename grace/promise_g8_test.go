//go:build linux

package grace_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
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
	"github.com/moult-go/moult/grace/gracetest"
	"github.com/moult-go/moult/grace/role"
)

func init() { programs["heavy"] = heavyProgram }

// ballast is what makes a successor heavy. It is made of small pages: huge ones are freed in a tenth of the time, but nobody promises them.
var ballast []byte

func takeBallast(size int) error {
	if size == 0 {
		return nil
	}
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("map %d bytes: %w", size, err)
	}
	if err := unix.Madvise(b, unix.MADV_NOHUGEPAGE); err != nil && !errors.Is(err, unix.EINVAL) { // a kernel without huge pages
		return fmt.Errorf("ask for small pages: %w", err)
	}
	for i := 0; i < len(b); i += os.Getpagesize() {
		b[i] = 1
	}
	ballast = b
	return nil
}

// heavyProgram is the full one; its successors have GRACE_TEST_HEAP megabytes in use, may dump core without a limit, and panic at USR1.
func heavyProgram() {
	if os.Getenv("GRACE_TEST_EOF_ONLY") != "" {
		grace.WithoutExitProbe()
	}
	if role.Current() == role.Successor {
		unlimited := syscall.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
		if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &unlimited); err != nil {
			fatal(fmt.Errorf("allow core dumps: %w", err))
		}
		mb, _ := strconv.Atoi(os.Getenv("GRACE_TEST_HEAP"))
		if err := takeBallast(mb << 20); err != nil {
			fatal(err)
		}
		for n, _ := strconv.Atoi(os.Getenv("GRACE_TEST_GOROUTINES")); n > 0; n-- {
			go func() { select {} }()
		}
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGUSR1)
		go func() {
			<-c
			panic("index out of luck")
		}()
	}
	fullProgram()
}

// TestPromiseG8: a new version that crashes on probation, whatever its size and its end: the old one accepts again within 50 ms, no
// connection is refused, and nothing is lost but what the dead process had accepted. The control learns of the death by the end of the
// socketpair alone.
func TestPromiseG8(t *testing.T) {
	const promise, large = 50 * time.Millisecond, 5 << 10
	full := promised(1) == 1
	bound, times, megabytes := time.Second, 1, 512 // on a machine with other work, and briefly
	if full {
		bound, times, megabytes = promise, 3, large
	}
	for _, c := range []struct {
		name      string
		sig       syscall.Signal
		traceback string
		dump      bool
	}{
		{"killed", syscall.SIGKILL, "single", false},
		{"panic", syscall.SIGUSR1, "single", false},
		{"core dump of a panic", syscall.SIGUSR1, "crash", true},
		{"core dump by SIGABRT", syscall.SIGABRT, "crash", true},
		{"core dump by SIGQUIT", syscall.SIGQUIT, "crash", true},
	} {
		for _, mb := range []int{0, megabytes} {
			t.Run(fmt.Sprintf("%s, %d MB", c.name, mb), func(t *testing.T) {
				needMemory(t, mb)
				s := startHeavy(t, mb, "GOTRACEBACK="+c.traceback)
				var took []time.Duration
				for range times {
					took = append(took, s.crash(c.sig, c.dump))
				}
				slices.Sort(took)
				t.Logf("next accept after %v", took)
				if m := took[len(took)/2]; m > bound {
					t.Errorf("next accept after %s in the median, more than %s", m, bound)
				}
			})
		}
	}
	t.Run("panic that prints 20000 goroutines", func(t *testing.T) { // which takes half a second
		s := startHeavy(t, 0, "GOTRACEBACK=all", "GRACE_TEST_GOROUTINES=20000")
		took, most := s.crash(syscall.SIGUSR1, false), min(bound, 200*time.Millisecond)
		t.Logf("next accept after %s", took)
		if took > most {
			t.Errorf("next accept after %s, more than %s", took, most)
		}
	})
	t.Run("control by EOF only", func(t *testing.T) {
		if !full {
			t.Skip("fills 5 GB, with MOULT_PROMISES=full only")
		}
		needMemory(t, large)
		s := startHeavy(t, large, "GRACE_TEST_EOF_ONLY=1")
		took := s.crash(syscall.SIGKILL, false)
		t.Logf("next accept after %s with %d MB", took, large)
		if took <= promise {
			t.Errorf("the control accepts after %s: the exit flags are not what makes it fast", took)
		}
	})
}

func needMemory(t *testing.T, mb int) {
	t.Helper()
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Skip(err)
	}
	_, after, _ := strings.Cut(string(info), "MemAvailable:")
	var kb int
	fmt.Sscan(after, &kb)
	if free := kb >> 10; free < mb+mb/2+512 {
		t.Skipf("only %d MB of memory are free", free)
	}
}

// startHeavy leaves the votes out: a dead process must not be found out by its silence.
func startHeavy(t *testing.T, mb int, env ...string) *server {
	t.Helper()
	s := start(t, "heavy", append(env, "GRACE_TEST_HEAP="+strconv.Itoa(mb), "GRACE_TEST_START=3m",
		"GRACE_TEST_PROBATION=10m", "GRACE_TEST_HEALTH=1h")...)
	s.waitUp()
	return s
}

// crash starts a successor, ends it by sig under load, and returns how long nobody accepted.
func (s *server) crash(sig syscall.Signal, dump bool) time.Duration {
	s.t.Helper()
	old := pidOf(s.t, s.addr)
	var mu sync.Mutex
	var lost []gracetest.Answer
	watch := func(a gracetest.Answer) {
		if a.Err != nil {
			mu.Lock()
			lost = append(lost, a)
			mu.Unlock()
		}
	}
	clients := gracetest.Options{Addr: s.addr, Path: "/hello", KeepAlive: 4, Idle: 4, OnAnswer: watch,
		Pause: 5 * time.Millisecond, IdlePause: 50 * time.Millisecond}
	there := gracetest.Start(clients) // their connections stay in the old process
	eventually(s.t, "connections", func() bool { return there.Requests() > 50 })
	verdict := s.askUpgrade("")
	next := 0
	for end := time.Now().Add(2 * time.Minute); next == 0 || next == old; next = pidOf(s.t, s.addr) {
		if time.Now().After(end) {
			s.t.Fatal("the successor does not serve: too little memory for its size?")
		}
		time.Sleep(2 * time.Millisecond) // between two looks
	}
	clients.New = 4
	here := gracetest.Start(clients)
	eventually(s.t, "connections", func() bool { return here.Requests() > 50 })

	first := make(chan time.Time, 1)
	began := time.Now()
	s.signal(next, sig)
	go func() { first <- firstAnswer(s.addr, old) }()
	var at time.Time
	select {
	case at = <-first:
	case <-time.After(30 * time.Second):
		s.t.Fatal("nobody accepts")
	}
	if v := <-verdict; !strings.HasPrefix(v, "crashed|") {
		s.t.Errorf("verdict %q", v)
	}
	requests, _ := here.Stop().Total()
	kept, _ := there.Stop().Total()
	for _, a := range lost {
		switch name := gracetest.Name(a.Err); {
		case name == "refused", strings.Contains(name, "status"):
			s.t.Errorf("%s: %v", a.Kind, a.Err)
		case a.Before.Get("X-Generation") == "1":
			s.t.Errorf("%s on a connection of the old process: %v", a.Kind, a.Err)
		case a.Dialed.After(at):
			s.t.Errorf("%s on a connection that was opened %s after the old process accepted: %v", a.Kind, a.Dialed.Sub(at), a.Err)
		}
	}
	s.t.Logf("%d of %d requests were lost with the dead process; the connections of the old one carried %d", len(lost), requests, kept)
	if pid := pidOf(s.t, s.addr); pid != old {
		s.t.Errorf("pid %d serves, want %d", pid, old)
	}
	eventually(s.t, "the dead process gone", func() bool { return len(s.pids()) == 1 })
	cores, _ := filepath.Glob(filepath.Join(s.dir, "core*"))
	if pattern, _ := os.ReadFile("/proc/sys/kernel/core_pattern"); dump && strings.HasPrefix(string(pattern), "core") && len(cores) == 0 {
		s.t.Error("no core was dumped")
	}
	for _, core := range cores {
		os.Remove(core)
	}
	return at.Sub(began)
}

// firstAnswer asks on a new connection every millisecond, without waiting for the others, until pid answers one of them.
func firstAnswer(addr string, pid int) time.Time {
	first := make(chan time.Time)
	quit := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(quit)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case at := <-first:
			return at
		case <-tick.C:
			wg.Go(func() {
				conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
				if err != nil {
					return
				}
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(10 * time.Second))
				io.WriteString(conn, "GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					return
				}
				body, _ := io.ReadAll(res.Body)
				if strings.HasSuffix(string(body), "ospid:"+strconv.Itoa(pid)) {
					select {
					case first <- time.Now():
					case <-quit:
					}
				}
			})
		}
	}
}
