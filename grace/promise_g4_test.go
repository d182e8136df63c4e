//go:build unix

package grace_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moult-go/moult/grace/gracetest"
)

func init() {
	programs["narrow"] = narrowProgram
	programs["rebind"] = rebindProgram
}

// TestPromiseG4: connections that are opened as fast as a machine of two cores allows: none is refused or reset by an upgrade.
func TestPromiseG4(t *testing.T) {
	s := start(t, "full", "GRACE_TEST_PROBATION=100ms")
	s.waitUp()
	const rate = 2500
	st := startStorm(s.addr, rate)
	upgrades := promised(50)
	for range upgrades {
		old := s.pids()[0]
		s.signal(old, syscall.SIGHUP)
		eventually(t, "the next generation alone", func() bool {
			time.Sleep(10 * time.Millisecond) // the storm needs the processor more than the look does
			pids := s.pids()
			return len(pids) == 1 && pids[0] != old
		})
	}
	n, failed, took := st.stop()
	perSecond := float64(n) / took.Seconds()
	t.Logf("%d of %d connections failed over %d upgrades, at %.0f each second", len(failed), n, upgrades, perSecond)
	if len(failed) > 0 || n < 100*upgrades {
		t.Errorf("%d of %d connections failed over %d upgrades: %v", len(failed), n, upgrades, byName(failed))
	}
	if least := 2000.0; upgrades == 50 && perSecond < least {
		t.Errorf("%.0f connections each second are not the %.0f that were promised", perSecond, least)
	}
}

// TestPromiseG4Control: the same storm finds the connections that a server loses which binds anew with SO_REUSEPORT and closes the old
// socket: those in its queue are reset.
func TestPromiseG4Control(t *testing.T) {
	s := start(t, "rebind")
	s.waitUp()
	st := startStorm(s.addr, 2500)
	const most = 100
	upgrades := 0
	for ; upgrades < most && st.failures() == 0; upgrades++ {
		old := s.pids()[0]
		s.signal(old, syscall.SIGHUP)
		eventually(t, "the next generation alone", func() bool {
			time.Sleep(10 * time.Millisecond) // as above
			pids := s.pids()
			return len(pids) == 1 && pids[0] != old
		})
	}
	n, failed, _ := st.stop()
	t.Logf("SO_REUSEPORT: %d of %d connections failed over %d upgrades: %v", len(failed), n, upgrades, byName(failed))
	if len(failed) == 0 {
		t.Error("the control lost nothing: the storm does not see what it is there to see")
	}
}

// rebindProgram is the control: each generation binds a socket of its own.
func rebindProgram() {
	hup := hangups()
	address := "127.0.0.1:0"
	if b, err := os.ReadFile("addr"); err == nil {
		address = string(b)
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	}}
	ln, err := lc.Listen(context.Background(), "tcp", address)
	if err != nil {
		fatal(err)
	}
	go http.Serve(ln, http.HandlerFunc(hello))
	bareSayReady()
	os.WriteFile("addr", []byte(ln.Addr().String()), 0o600)
	<-hup
	if _, err := bareSpawn(nil); err != nil {
		fatal(err)
	}
	ln.Close()
	time.Sleep(200 * time.Millisecond) // what it has accepted, it answers
}

// A storm opens connections at a rate, each for one request. It resets them afterwards, or the client would run out of ports.
type storm struct {
	began time.Time
	quit  chan struct{}
	wg    sync.WaitGroup

	mu     sync.Mutex
	n      int
	failed []error
}

func startStorm(addr string, perSecond int) *storm {
	const clients = 32
	st := &storm{began: time.Now(), quit: make(chan struct{})}
	every := clients * time.Second / time.Duration(perSecond)
	for i := range clients {
		st.wg.Go(func() {
			for at := st.began.Add(every * time.Duration(i) / clients); ; at = at.Add(every) {
				select {
				case <-st.quit:
					return
				case <-time.After(time.Until(at)):
				}
				_, err := oneShot(addr)
				st.mu.Lock()
				st.n++
				if err != nil {
					st.failed = append(st.failed, err)
				}
				st.mu.Unlock()
			}
		})
	}
	return st
}

func (st *storm) failures() int {
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.failed)
}

func (st *storm) stop() (n int, failed []error, took time.Duration) {
	close(st.quit)
	st.wg.Wait()
	return st.n, st.failed, time.Since(st.began)
}

// oneShot makes one request on a connection of its own, and returns how long it took to open it.
func oneShot(addr string) (connect time.Duration, err error) {
	began := time.Now()
	conn, err := net.DialTimeout("tcp", addr, 20*time.Second)
	connect = time.Since(began)
	if err != nil {
		return connect, err
	}
	defer conn.Close()
	conn.(*net.TCPConn).SetLinger(0)
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return connect, err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return connect, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return connect, err
}

// byName counts failures by name.
func byName(errs []error) map[string]int {
	m := map[string]int{}
	for _, err := range errs {
		m[gracetest.Name(err)]++
	}
	return m
}

const narrowQueue = 64

// narrowProgram is the full one; at USR1 the queues of its listening sockets become short: net.core.somaxconn, which net.Listen takes,
// is thousands of places.
func narrowProgram() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	go func() {
		<-c
		for fd := 3; fd < 64; fd++ {
			if v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && v == 1 {
				unix.Listen(fd, narrowQueue)
			}
		}
		os.WriteFile("narrow", []byte("done"), 0o600)
	}()
	fullProgram()
}

// TestPromiseG4FullQueue: who finds the queue of the socket full gets in with the first retransmission of its SYN, a second later, since
// by then somebody accepts again; who stands in the queue does not lose its place.
func TestPromiseG4FullQueue(t *testing.T) {
	for _, c := range []struct {
		name   string
		handOn bool // the predecessor stops accepting, fills up, and hands over; else its successor does, and dies
	}{{"at a handover", true}, {"at a crash on probation", false}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			// A stopped process must not be found out by its silence.
			s := start(t, "narrow", "GRACE_TEST_PROBATION=5s", "GRACE_TEST_HEALTH=1h", "GRACE_TEST_START=60s")
			s.waitUp()
			old := pidOf(t, s.addr)
			s.signal(old, syscall.SIGUSR1)
			s.file("narrow")
			asleep := old
			if !c.handOn {
				s.signal(old, syscall.SIGHUP)
				s.waitLog("standing by")
				asleep = pidOf(t, s.addr)
			}
			s.signal(asleep, syscall.SIGSTOP)
			eventually(t, "the process stopped", func() bool { return stopped(asleep) })

			const crowd = narrowQueue + narrowQueue/2
			type fate struct {
				connect time.Duration
				err     error
			}
			fates := make(chan fate, crowd)
			for range crowd {
				go func() {
					connect, err := oneShot(s.addr)
					fates <- fate{connect, err}
				}()
			}
			eventually(t, "a full queue", func() bool { return unanswered(t, s.addr) >= narrowQueue/4 })
			if c.handOn {
				s.signal(old, syscall.SIGHUP)
				s.signal(old, syscall.SIGCONT)
			} else {
				s.signal(asleep, syscall.SIGKILL)
			}
			var took []time.Duration
			for range crowd {
				f := <-fates
				if f.err != nil {
					t.Errorf("after %s: %v", f.connect, f.err)
				}
				took = append(took, f.connect)
			}
			slices.Sort(took)
			late, _ := slices.BinarySearch(took, 900*time.Millisecond)
			t.Logf("%d of %d connections needed a second SYN; the longest took %s", crowd-late, crowd, took[crowd-1])
			if late == crowd {
				t.Error("no SYN was sent twice: the queue was not full")
			}
			if most := 2900 * time.Millisecond; took[crowd-1] > most {
				t.Errorf("the longest took %s: a third SYN, which goes out after 3 s", took[crowd-1])
			}
			s.waitLog(map[bool]string{true: "standing by", false: "serving again"}[c.handOn])
		})
	}
}

// stopped reports whether a signal has stopped the process.
func stopped(pid int) bool {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return strings.Contains(string(stat), ") T ")
}
