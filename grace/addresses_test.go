//go:build unix

package grace_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPortZeroKeepsItsNumber over three generations; equal keys are told apart by their order.
func TestPortZeroKeepsItsNumber(t *testing.T) {
	t.Parallel()
	s := startPlan(t, t.TempDir(), nil, "open tcp 127.0.0.1:0", "open tcp 127.0.0.1:0", "open tcp 127.0.0.1:0 named", "open tcp4 127.0.0.1:0")
	first := s.addrs(1)
	if len(first) != 4 {
		t.Fatalf("addresses %q", first)
	}
	for g := 2; g <= 3; g++ {
		s.upgradeAt(first[g-2])
		if got := s.addrs(g); !slices.Equal(got, first) {
			t.Errorf("generation %d has %q, generation 1 had %q", g, got, first)
		}
	}
	for _, addr := range first {
		if got := s.askAt(addr, "/generation"); got != "3" {
			t.Errorf("generation %s answers at %s", got, addr)
		}
	}
}

// TestVersionChangesItsListeners: what it adds is bound, what it drops is refused from COMMIT on, while the predecessor still
// drains; and what it moves is both.
func TestVersionChangesItsListeners(t *testing.T) {
	t.Parallel()
	before, after, added := freePort(t), freePort(t), freePort(t)
	s := startPlan(t, t.TempDir(), nil, "open tcp 127.0.0.1:0", "open tcp "+before+" web", "open tcp 127.0.0.1:0 dropped", "open unix dropped.sock")
	first := s.addrs(1)
	inTheWay := halfARequest(t, first[0]) // generation 1 drains as long as the rest does not come
	s.plan("open tcp "+added, "open tcp 127.0.0.1:0", "open tcp "+after+" web")
	s.upgradeAt(first[0])
	second := s.addrs(2)
	for _, addr := range append(second, after, added) {
		if got := s.askAt(addr, "/generation"); got != "2" {
			t.Errorf("generation %s answers at %s", got, addr)
		}
	}
	if !slices.Contains(second, first[0]) {
		t.Errorf("%s was not kept: %q", first[0], second)
	}
	for _, addr := range []string{before, first[2], s.dir + "/dropped.sock"} {
		eventually(t, addr+" refused", func() bool { return refused(addr) })
	}
	if n := strings.Count(s.log(), "this version does not listen on"); n != 3 {
		t.Errorf("%d warnings, want 3", n)
	}
	select {
	case <-s.done:
		t.Error("generation 1 has ended: it says nothing that nobody listens")
	default:
	}
	inTheWay.Close()
	s.waitEnd(20 * time.Second)
}

// halfARequest makes a connection whose server waits for more.
func halfARequest(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprint(c, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, res.Body)
	fmt.Fprint(c, "GET /hello HTT")
	return c
}

// TestDroppedListenerAtRollback: until COMMIT it is the predecessor's, and then for good.
func TestDroppedListenerAtRollback(t *testing.T) {
	t.Parallel()
	added := freePort(t)
	cmd := exec.Command(executable(t))
	cmd.Env = []string{"GRACE_TEST_PROBATION=1h"}
	s := startPlan(t, t.TempDir(), cmd, "open tcp 127.0.0.1:0 kept", "open tcp 127.0.0.1:0 dropped", "open unix dropped.sock")
	first := s.addrs(1)
	s.plan("open tcp 127.0.0.1:0 kept", "open tcp "+added, "die omen")
	verdict := make(chan string, 1)
	go func() {
		v, err := getAt(first[1], "/upgrade")
		verdict <- v + errText(err)
	}()
	s.waitLog("standing by")
	for _, addr := range []string{first[1], s.dir + "/dropped.sock"} {
		if got := s.askAt(addr, "/generation"); got != "1" {
			t.Errorf("during probation generation %s answers at %s", got, addr)
		}
	}
	if err := os.WriteFile(filepath.Join(s.dir, "omen"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if v := <-verdict; !strings.Contains(v, "crashed") {
		t.Errorf("verdict %q", v)
	}
	for _, addr := range append(first[:2:2], s.dir+"/dropped.sock") {
		if got := s.askAt(addr, "/generation"); got != "1" {
			t.Errorf("after the rollback generation %s answers at %s", got, addr)
		}
	}
	if !refused(added) {
		t.Error("the added listener outlived its version")
	}
}

// refused reports whether nobody listens at addr.
func refused(addr string) bool {
	network := "tcp"
	if strings.Contains(addr, "/") {
		network = "unix"
	}
	c, err := net.Dial(network, addr)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
}
