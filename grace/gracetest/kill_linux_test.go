package gracetest

import (
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPeersOf: a connection that a process has open is listed, one that waits in the queue of its listener is not.
func TestPeersOf(t *testing.T) {
	if os.Getenv("GRACETEST_ACCEPT") != "" {
		ln, err := net.FileListener(os.NewFile(3, "listener"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "accepted\n")
		io.Copy(io.Discard, os.Stdin) // until the test has looked
		c.Close()
		return
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dial := func() (net.Conn, int) {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c, c.LocalAddr().(*net.TCPAddr).Port
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^TestPeersOf$")
	cmd.Env = append(os.Environ(), "GRACETEST_ACCEPT=1")
	cmd.ExtraFiles = []*os.File{f}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer stdin.Close()
	conn, port := dial()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(conn, make([]byte, len("accepted\n"))); err != nil {
		t.Fatal(err)
	}
	dial() // nobody accepts this one
	cmd.Process.Signal(syscall.SIGSTOP)
	got, err := peersOf(cmd.Process.Pid)
	cmd.Process.Signal(syscall.SIGCONT)
	if want := map[int]bool{port: true}; err != nil || !maps.Equal(got, want) {
		t.Errorf("peers %v, %v; want %v", got, err, want)
	}
}

// TestExplain: a kill explains the end of the connections that the process had then, and of no others.
func TestExplain(t *testing.T) {
	at := time.Now()
	g := graves{list: []grave{{at.Add(-time.Hour), map[int]bool{1: true}}, {at, map[int]bool{2: true}}}}
	end := func(port int) net.Addr { return &net.TCPAddr{Port: port} }
	for name, c := range map[string]struct {
		answer Answer
		want   bool
	}{
		"open in it":                 {Answer{Local: end(2), dialing: at.Add(-time.Second)}, true},
		"its port used again":        {Answer{Local: end(2), dialing: at.Add(time.Second)}, false},
		"of an earlier one, again":   {Answer{Local: end(1), dialing: at.Add(-time.Second)}, false},
		"open in another":            {Answer{Local: end(3), dialing: at.Add(-time.Second)}, false},
		"refused":                    {Answer{Err: syscall.ECONNREFUSED, dialing: at.Add(-time.Second)}, false},
		"accepted, and not yet told": {Answer{Local: end(2), dialing: at.Add(-time.Second), Dialed: at.Add(time.Second)}, true},
	} {
		c.answer.Err = errors.Join(c.answer.Err, io.EOF)
		if got := g.explain(c.answer); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestEventLine: what a server tells arrives as it was, on one line.
func TestEventLine(t *testing.T) {
	e := event{"undone", 7, 8, "a\nb & c=d"}
	line := e.line()
	if strings.Count(line, "\n") != 1 {
		t.Errorf("%q", line)
	}
	if got, err := parseEvent(strings.TrimSuffix(line, "\n")); err != nil || got != e {
		t.Errorf("%+v, %v", got, err)
	}
}
