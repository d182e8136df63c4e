//go:build unix

package server_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestEcho: a connection of a protocol that nobody but the program knows stays where it is, and new ones go to the successor.
func TestEcho(t *testing.T) {
	t.Parallel()
	dir, exe := copyOfMe(t)
	l := startLine(t, dir, exe)
	dial := func() net.Conn {
		c, err := net.Dial("unix", filepath.Join(dir, "echo.sock"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(30 * time.Second))
		return c
	}
	say := func(c net.Conn, text string) {
		t.Helper()
		fmt.Fprintln(c, text)
		if got, err := bufio.NewReader(c).ReadString('\n'); err != nil || got != text+"\n" {
			t.Errorf("said %q, heard %q, %v", text, got, err)
		}
	}
	old := dial()
	say(old, "before")
	l.hangup()
	l.wait("the successor", func() bool { st, err := l.status(); return err == nil && st.Generation == 2 && len(st.Draining) == 1 })
	young := dial()
	say(young, "after")
	say(old, "still here")
	st, err := l.status()
	if err != nil || st.Draining[0].Connections != 1 {
		t.Errorf("status %+v, %v; want one connection with the predecessor", st, err)
	}
	old.Close()
	l.wait("the predecessor's end", func() bool { st, err := l.status(); return err == nil && len(st.Draining) == 0 })
	say(young, "still here, too")
}

// copyOfMe is the test binary in a directory of its own, where its state directory will be.
func copyOfMe(t *testing.T) (dir, exe string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "me")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	exe = filepath.Join(dir, "echo")
	if os.Link(me, exe) == nil {
		return dir, exe
	}
	b, err := os.ReadFile(me)
	if err == nil {
		err = os.WriteFile(exe, b, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, exe
}
