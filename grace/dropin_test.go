//go:build unix

package grace_test

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestDropIn: HUP while requests sleep. Every request in flight is answered by the old pid, every new one by the new
// pid, none fails, and the old process ends when probation is over and its last request is done.
func TestDropIn(t *testing.T) {
	t.Parallel()
	addr := freePort(t)
	s := start(t, "dropin", "GRACE_TEST_ADDR="+addr)
	s.addr = addr
	s.waitUp()
	old := s.cmd.Process.Pid

	var wg sync.WaitGroup
	answers := make([]string, 20)
	errs := make([]error, len(answers))
	for i := range answers {
		wg.Go(func() { answers[i], errs[i] = get(addr, "/hello?sleep=8") })
	}
	eventually(t, "all requests in flight", func() bool { return established(t, addr) >= len(answers) })

	s.signal(old, syscall.SIGHUP)
	s.waitLog("standing by")
	fresh := pidOf(t, addr)
	if fresh == old {
		t.Fatalf("a new request was answered by the old process, pid %d", old)
	}
	for range 50 {
		if got := pidOf(t, addr); got != fresh {
			t.Fatalf("a new request was answered by pid %d, want %d", got, fresh)
		}
	}
	select {
	case <-s.done:
		t.Fatal("the old process ended before its last request was done")
	default:
	}
	wg.Wait()
	for i := range answers {
		if want := fmt.Sprintf("WORLD!ospid:%d", old); errs[i] != nil || answers[i] != want {
			t.Errorf("request in flight: %q, %v; want %q", answers[i], errs[i], want)
		}
	}
	s.waitEnd(10 * time.Second)
	if !strings.Contains(s.log(), "Server on 8080 stopped") {
		t.Error("ListenAndServe did not return in the old process")
	}
	s.signal(fresh, syscall.SIGTERM)
	eventually(t, "the new process gone", func() bool { return len(s.pids()) == 0 })
	if n := strings.Count(s.log(), "Server on 8080 stopped"); n != 2 {
		t.Errorf("%d of 2 processes returned from ListenAndServe without an error", n)
	}
}

// TestDropInTwoServers: a process with two servers is ready only when both are; each keeps its own socket.
func TestDropInTwoServers(t *testing.T) {
	t.Parallel()
	a, b := freePort(t), freePort(t)
	s := start(t, "two", "GRACE_TEST_ADDR="+a+","+b)
	s.addr = a
	s.waitUp()
	s.addr = b
	s.waitUp()
	old := s.cmd.Process.Pid
	s.signal(old, syscall.SIGUSR2)
	s.waitLog("standing by")
	if pidOf(t, a) == old || pidOf(t, b) == old || pidOf(t, a) != pidOf(t, b) {
		t.Error("not both sockets went over")
	}
	s.waitEnd(15 * time.Second)
}

// TestStop: TERM and INT end the program with nil after its requests.
func TestStop(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			addr := freePort(t)
			s := start(t, "dropin", "GRACE_TEST_ADDR="+addr)
			s.addr = addr
			s.waitUp()
			answer := make(chan error, 1)
			go func() {
				_, err := get(addr, "/hello?sleep=1")
				answer <- err
			}()
			eventually(t, "the request in flight", func() bool { return established(t, addr) >= 1 })
			s.signal(s.cmd.Process.Pid, sig)
			s.waitEnd(10 * time.Second)
			if err := <-answer; err != nil {
				t.Errorf("the request in flight: %v", err)
			}
		})
	}
}
