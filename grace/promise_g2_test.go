//go:build unix

package grace_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestPromiseG2: idle plain-HTTP connections stay open over upgrades: the same TCP connection is answered by the last generation. One in ten
// has never sent a byte.
func TestPromiseG2(t *testing.T) {
	s := start(t, "full", "GRACE_TEST_PROBATION=300ms", "GRACE_TEST_DRAIN=60s")
	s.waitUp()
	idle := openIdle(t, s.addr, promised(1000))
	upgrades := promised(100)
	for range upgrades {
		s.hangupAndWait()
	}
	closed := 0
	for _, c := range idle {
		if g, err := c.generation(); err != nil || g != upgrades+1 {
			closed++
			t.Logf("generation %d, %v", g, err)
		}
	}
	t.Logf("%d of %d idle connections closed over %d upgrades", closed, len(idle), upgrades)
	if closed > 0 {
		t.Errorf("%d of %d idle connections closed over %d upgrades", closed, len(idle), upgrades)
	}
}

// TestPromiseG2Control: http.Server.Shutdown closes them all.
func TestPromiseG2Control(t *testing.T) {
	s := start(t, "shutdown")
	s.waitUp()
	idle := openIdle(t, s.addr, 100)
	s.signal(s.pids()[0], syscall.SIGHUP)
	s.waitEnd(20 * time.Second)
	closed := 0
	for _, c := range idle {
		if _, err := c.generation(); err != nil {
			closed++
		}
	}
	t.Logf("Shutdown: %d of %d idle connections closed", closed, len(idle))
	if closed < 90 {
		t.Errorf("the control lost %d of %d: the test does not see what it is there to see", closed, len(idle))
	}
}

// hangupAndWait sends HUP and returns when the next generation serves alone.
func (s *server) hangupAndWait() {
	s.t.Helper()
	old := s.pids()[0]
	s.signal(old, syscall.SIGHUP)
	eventually(s.t, "the next generation", func() bool { return len(s.pids()) == 2 })
	eventually(s.t, "the predecessor's end", func() bool { p := s.pids(); return len(p) == 1 && p[0] != old })
	eventually(s.t, "serving", func() bool { v, err := get(s.addr, "/state"); return err == nil && v == "serving" })
}

// idleConn is a connection that is open and silent.
type idleConn struct {
	conn net.Conn
	br   *bufio.Reader
}

// openIdle opens n connections, nine in ten of which are kept alive after a request.
func openIdle(t *testing.T, addr string, n int) []*idleConn {
	t.Helper()
	list := make([]*idleConn, n)
	for i := range list {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		list[i] = &idleConn{conn, bufio.NewReader(conn)}
		if i%10 != 0 {
			if _, err := list[i].generation(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return list
}

// generation makes one request and returns who answered.
func (c *idleConn) generation() (int, error) {
	c.conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := fmt.Fprint(c.conn, "POST /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi"); err != nil {
		return 0, err
	}
	res, err := http.ReadResponse(c.br, nil)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0, err
	}
	if res.Close {
		return 0, fmt.Errorf("the answer says Connection: close")
	}
	g, _ := strconv.Atoi(res.Header.Get("X-Generation"))
	return g, nil
}
