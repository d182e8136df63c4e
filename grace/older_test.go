//go:build unix

package grace_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hijacked is a connection that a handler has taken over: it echoes lines.
type hijacked struct {
	net.Conn
	br *bufio.Reader
}

func hijack(t *testing.T, addr string) *hijacked {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(60 * time.Second))
	fmt.Fprint(conn, "GET /hijack HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	h := &hijacked{conn, bufio.NewReader(conn)}
	for {
		line, err := h.br.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\r\n" {
			return h
		}
	}
}

func (h *hijacked) line(t *testing.T) string {
	t.Helper()
	line, err := h.br.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// hangup sends HUP to pid and returns the pid that then serves.
func (s *server) hangup(pid int) int {
	s.t.Helper()
	s.signal(pid, syscall.SIGHUP)
	next := pid
	eventually(s.t, "the next generation serving", func() bool {
		state, err := get(s.addr, "/state")
		if err != nil || state != "serving" {
			return false
		}
		next = pidOf(s.t, s.addr)
		return next != pid
	})
	return next
}

// TestHijackedConnections are told when the drain begins, are served until the deadline, and are then cut; the youngest
// generation knows of them all the while.
func TestHijackedConnections(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=200ms", "GRACE_TEST_DRAIN=4s")
	s.waitUp()
	old := s.cmd.Process.Pid
	h := hijack(t, s.addr)
	fmt.Fprintln(h, "before")
	if got := h.line(t); got != "before" {
		t.Fatalf("%q", got)
	}
	s.hangup(old)
	if got := h.line(t); got != "move on" {
		t.Fatalf("%q", got)
	}
	fmt.Fprintln(h, "after")
	if got := h.line(t); got != "after" {
		t.Fatalf("%q", got)
	}
	want := fmt.Sprintf("1:%d:1:1", old)
	eventually(t, "the youngest knows", func() bool { v, _ := get(s.addr, "/older"); return strings.TrimSpace(v) == want })
	if _, err := io.ReadAll(h.br); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("at the drain deadline: %v", err)
	}
	s.waitEnd(10 * time.Second)
	eventually(t, "nobody older", func() bool { v, err := get(s.addr, "/older"); return err == nil && v == "" })
	s.waitLog("moved=0 drained=0 cut=1")
}

// TestOldGenerations: upgrades go on while old generations drain. When there are too many, the oldest closes what it has left and goes; the
// others stay, and their line is not broken.
func TestOldGenerations(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=100ms", "GRACE_TEST_DRAIN=120s", "GRACE_TEST_MAXDRAINING=3")
	s.waitUp()
	pids := []int{s.cmd.Process.Pid}
	var conns []*hijacked
	for range 5 {
		conns = append(conns, hijack(t, s.addr))
		pids = append(pids, s.hangup(pids[len(pids)-1]))
	}
	want := ""
	for i := 2; i < 5; i++ {
		want += fmt.Sprintf("%d:%d:1:1 ", i+1, pids[i])
	}
	eventually(t, "the three youngest of the old ones: "+want, func() bool { v, _ := get(s.addr, "/older"); return v == want })
	eventually(t, "the oldest two gone", func() bool { return len(s.pids()) == 4 })
	for i, h := range conns {
		fmt.Fprintln(h, "still here")
		var text string
		for line, err := h.br.ReadString('\n'); err == nil && text != "still here"; line, err = h.br.ReadString('\n') {
			text = strings.TrimSpace(line)
			if text == "still here" {
				break
			}
		}
		if alive := text == "still here"; alive != (i >= 2) {
			t.Errorf("the connection of generation %d: alive %t", i+1, alive)
		}
	}
	// One in the middle has nothing left, but waits for the one before it, which would be cut off from the youngest.
	conns[3].Close()
	eventually(t, "generation 4 empty, and there", func() bool {
		v, _ := get(s.addr, "/older")
		return v == fmt.Sprintf("3:%d:1:1 4:%d:0:0 5:%d:1:1 ", pids[2], pids[3], pids[4])
	})
	conns[2].Close()
	eventually(t, "both gone", func() bool {
		v, _ := get(s.addr, "/older")
		return v == fmt.Sprintf("5:%d:1:1 ", pids[4]) && len(s.pids()) == 2
	})
}

// TestEvents: one for each phase, in order, with the time that each took.
func TestEvents(t *testing.T) {
	t.Parallel()
	s := start(t, "full", "GRACE_TEST_PROBATION=200ms")
	s.waitUp()
	idle := openIdle(t, s.addr, 10)
	old := s.cmd.Process.Pid
	s.hangup(old)
	s.waitEnd(10 * time.Second)
	next := pidOf(t, s.addr)
	b, err := os.ReadFile(filepath.Join(s.dir, "events"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	accepting := slices.IndexFunc(lines, func(line string) bool {
		return strings.HasPrefix(line, fmt.Sprintf("2: accepting 2 pid %d took false", next))
	})
	if standby := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "1: standby") }); accepting < 0 || accepting > standby {
		t.Errorf("the successor does not accept before its predecessor stands by:\n%s", b)
	}
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "2: ") })
	for i, step := range []string{"accepting", "spawned", "greeted", "standby", "moving", "committed", "drained"} {
		pid, generation := next, 2
		if step == "accepting" || step == "drained" {
			pid, generation = old, 1
		}
		if want := fmt.Sprintf("1: %s %d pid %d took %t", step, generation, pid, step != "accepting"); i >= len(lines) || !strings.HasPrefix(lines[i], want) {
			t.Fatalf("no %q in\n%s", want, b)
		}
	}
	last := lines[6]
	if !strings.Contains(last, "Moved:"+strconv.Itoa(len(idle))) || !strings.Contains(last, "Cut:0") || !strings.Contains(last, "Open:0") {
		t.Error(last)
	}
}
