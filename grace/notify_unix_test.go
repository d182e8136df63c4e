//go:build unix

package grace

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fakeManager reads notifications as a service manager does, closing the descriptors that come with them.
func fakeManager(t *testing.T) (socket string, got <-chan string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	texts := make(chan string, 16)
	go func() { // ends when the test closes the socket
		defer close(texts)
		for {
			buf, oob := make([]byte, 4096), make([]byte, 4096)
			n, on, _, _, err := conn.ReadMsgUnix(buf, oob)
			if err != nil {
				return
			}
			texts <- string(buf[:n])
			messages, _ := unix.ParseSocketControlMessage(oob[:on])
			for _, m := range messages {
				fds, _ := unix.ParseUnixRights(&m)
				for _, fd := range fds {
					unix.Close(fd)
				}
			}
		}
	}()
	return socket, texts
}

func TestManager(t *testing.T) {
	socket, got := fakeManager(t)
	m := manager{socket}
	if err := m.tell("READY=1", "MAINPID=7"); err != nil {
		t.Fatal(err)
	}
	if err := m.barrier(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"READY=1\nMAINPID=7", "BARRIER=1"} {
		if text := <-got; text != want {
			t.Errorf("got %q, want %q", text, want)
		}
	}
}

func TestNoManager(t *testing.T) {
	if err := (manager{}).tell("READY=1"); err != nil {
		t.Error(err)
	}
	if err := (manager{}).barrier(); err != nil {
		t.Error(err)
	}
	err := manager{filepath.Join(t.TempDir(), "nobody")}.tell("READY=1")
	if err == nil || !strings.Contains(err.Error(), "notify the service manager") {
		t.Errorf("%v", err)
	}
}

// TestBarrierTimesOut: a manager that does not read costs barrierTimeout, not for ever.
func TestBarrierTimesOut(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	began := time.Now()
	if err := (manager{socket}).barrier(); err == nil {
		t.Error("nobody has read it")
	}
	if d := time.Since(began); d > 5*barrierTimeout {
		t.Errorf("took %s", d)
	}
}

// TestManagerThatNeverReads: once its queue is full, a notification costs barrierTimeout, not for ever.
func TestManagerThatNeverReads(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	full := make(chan error, 1)
	go func() { // ends when the queue is full
		for {
			if err := (manager{socket}).tell("READY=1"); err != nil {
				full <- err
				return
			}
		}
	}()
	select {
	case <-full:
	case <-time.After(5 * barrierTimeout):
		t.Error("still sending")
	}
}
