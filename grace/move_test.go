//go:build unix

package grace_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// arrived returns how many connections the serving generation has got from its predecessor.
func (s *server) arrived() int {
	v, err := get(s.addr, "/counts")
	if err != nil {
		return -1
	}
	var open, arrived int
	fmt.Sscan(v, &open, &arrived)
	return arrived
}

// TestMovesBeginAtHalfTime: in the first half of probation no connection moves, so a crash there loses none of the idle ones. In the
// second half they are the successor's, and go down with it.
func TestMovesBeginAtHalfTime(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=8s")
	s.waitUp()
	old := s.cmd.Process.Pid
	idle := openIdle(t, s.addr, 50)
	s.signal(old, syscall.SIGHUP)
	s.waitLog("standing by")
	next := pidOf(t, s.addr)
	if n := s.arrived(); n != 0 {
		t.Errorf("%d connections have moved at once", n)
	}
	s.signal(next, syscall.SIGKILL)
	s.waitLog("serving again")
	for _, c := range idle {
		if g, err := c.generation(); err != nil || g != 1 {
			t.Fatalf("after a crash in the first half: generation %d, %v", g, err)
		}
	}
	s.signal(old, syscall.SIGHUP)
	eventually(t, "all moved", func() bool { return s.arrived() == len(idle) })
	if v := s.log(); strings.Contains(v, "handed over") {
		t.Fatal("committed already: the test says nothing")
	}
	s.signal(pidOf(t, s.addr), syscall.SIGKILL)
	eventually(t, "the old one serves", func() bool { return pidOf(t, s.addr) == old })
	lost := 0
	for _, c := range idle {
		if _, err := c.generation(); err != nil {
			lost++
		}
	}
	t.Logf("%d of %d idle connections lost in the second half", lost, len(idle))
	if lost != len(idle) {
		t.Errorf("%d of %d are with the old process, though all had moved", len(idle)-lost, len(idle))
	}
}

// TestMoveOverUnixSockets: a proxy in front keeps its connections too.
func TestMoveOverUnixSockets(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=200ms")
	s.waitUp()
	conn, err := net.Dial("unix", filepath.Join(s.dir, "web.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &idleConn{conn, bufio.NewReader(conn)}
	if g, err := c.generation(); g != 1 || err != nil {
		t.Fatal(g, err)
	}
	s.hangupAndWait()
	if g, err := c.generation(); g != 2 || err != nil {
		t.Error(g, err)
	}
}

// TestMoveShortOfDescriptors: a successor that may open few more refuses; the predecessor serves on, and says with its next answer that
// the connection ends. Neither is short of what it takes to go on.
func TestMoveShortOfDescriptors(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=2s")
	s.waitUp()
	idle := openIdle(t, s.addr, 40)
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	s.waitLog("standing by")
	if _, err := get(s.addr, "/tight?spare=45"); err != nil {
		t.Fatal(err)
	}
	s.waitLog("few descriptors are left")
	s.waitLog("handed over")
	moved, stayed := 0, 0
	for _, c := range idle {
		c.conn.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprint(c.conn, "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
		res, err := http.ReadResponse(c.br, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		switch g := res.Header.Get("X-Generation"); {
		case g == "2" && !res.Close:
			moved++
		case g == "1" && res.Close:
			stayed++
		default:
			t.Errorf("answered by generation %s, close %t", g, res.Close)
		}
	}
	if moved == 0 || stayed == 0 {
		t.Errorf("%d moved, %d stayed: the test says nothing", moved, stayed)
	}
	t.Logf("%d moved, %d stayed", moved, stayed)
}

// TestMoveThroughTheMiddle: a request that outlasts two upgrades. When it is answered, its connection goes to the second generation, which
// drains or stands by and does not accept any more, and on to the third.
func TestMoveThroughTheMiddle(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=3s", "GRACE_TEST_DRAIN=60s")
	s.waitUp()
	slow, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	slow.SetDeadline(time.Now().Add(60 * time.Second))
	c := &idleConn{slow, bufio.NewReader(slow)}
	fmt.Fprint(slow, "GET /hello?sleep=5 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	eventually(t, "it runs", func() bool { return established(t, s.addr) >= 1 })
	second := s.hangup(s.cmd.Process.Pid)
	s.signal(second, syscall.SIGHUP)
	eventually(t, "the second stands by", func() bool { return strings.Count(s.log(), "standing by") == 2 })
	res, err := http.ReadResponse(c.br, nil)
	if err != nil || res.Header.Get("X-Generation") != "1" || res.Close {
		t.Fatalf("%v, %v", res, err)
	}
	io.Copy(io.Discard, res.Body)
	eventually(t, "the third alone", func() bool { return len(s.pids()) == 1 })
	if g, err := c.generation(); g != 3 || err != nil {
		t.Errorf("generation %d, %v", g, err)
	}
}

// TestLastCall: a connection with half a request on it cannot move. From half of the drain deadline on, its answers tell it to go.
func TestLastCall(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=100ms", "GRACE_TEST_DRAIN=6s")
	s.waitUp()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	br := bufio.NewReader(conn)
	const req = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"
	fmt.Fprint(conn, req+req[:7])
	sent := time.Now()
	for n := 0; ; n++ {
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatalf("after %d answers and %s: %v", n, time.Since(sent), err)
		}
		io.Copy(io.Discard, res.Body)
		if n == 0 {
			s.hangup(s.cmd.Process.Pid)
			sent = time.Now()
		}
		if g := res.Header.Get("X-Generation"); g != "1" {
			t.Fatalf("answered by generation %s, with half a request in the first", g)
		}
		if res.Close {
			if n == 0 || time.Since(sent) < 2*time.Second {
				t.Errorf("told to go after %s", time.Since(sent))
			}
			return
		}
		time.Sleep(100 * time.Millisecond) // between two requests
		fmt.Fprint(conn, req[7:]+req[:7])
	}
}
