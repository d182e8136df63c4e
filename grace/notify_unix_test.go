//go:build unix

package grace

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// readNotices reads notifications as a service manager does, closing the descriptors that come with them.
func readNotices(t *testing.T) (socket notifySocket, got <-chan string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
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
	return notifySocket(path), texts
}

// neverReads is a manager's socket that nobody reads.
func neverReads(t *testing.T) notifySocket {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return notifySocket(path)
}

func TestNotify(t *testing.T) {
	socket, got := readNotices(t)
	if err := socket.send("READY=1\nMAINPID=7", nil); err != nil {
		t.Fatal(err)
	}
	if err := socket.barrier(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"READY=1\nMAINPID=7", "BARRIER=1"} {
		if text := <-got; text != want {
			t.Errorf("got %q, want %q", text, want)
		}
	}
	err := notifySocket(filepath.Join(t.TempDir(), "nobody")).send("READY=1", nil)
	if err == nil || !strings.Contains(err.Error(), "notify the service manager") {
		t.Errorf("%v", err)
	}
}

// TestBarrierTimesOut: a manager that does not read costs barrierTimeout, not for ever.
func TestBarrierTimesOut(t *testing.T) {
	t.Parallel()
	began := time.Now()
	if err := neverReads(t).barrier(); err == nil {
		t.Error("nobody has read it")
	}
	if d := time.Since(began); d > 5*barrierTimeout {
		t.Errorf("took %s", d)
	}
}

// TestNotifyFullQueue: once a manager's queue is full, a notification costs barrierTimeout, not for ever.
func TestNotifyFullQueue(t *testing.T) {
	t.Parallel()
	socket := neverReads(t)
	full := make(chan error, 1)
	go func() { // ends when the queue is full
		for {
			if err := socket.send("READY=1", nil); err != nil {
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

// TestManagerSpeaks: who is not the main process says nothing; who hands over says nothing more; who takes over waits until
// the manager follows it.
func TestManagerSpeaks(t *testing.T) {
	t.Parallel()
	socket, got := readNotices(t)
	m := newManager(socket, 0, slog.New(slog.DiscardHandler))
	m.tell("STATUS=too early")
	m.takeOver()
	m.tell("STATUS=queued")
	select {
	case text := <-got:
		t.Errorf("said %q before the manager follows", text)
	case <-time.After(50 * time.Millisecond): // an absence can only be waited for
	}
	m.hear()
	read := make(chan struct{})
	m.handOver(func() { close(read) }, "MAINPID=7", "READY=1")
	m.tell("STATUS=too late")
	<-read
	m.close()
	if err := socket.send("that is all", nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"STATUS=queued", "MAINPID=7\nREADY=1", "BARRIER=1", "that is all"} {
		if text := <-got; text != want {
			t.Errorf("got %q, want %q", text, want)
		}
	}
}

// TestManagerNeverHoldsUp: with a manager that does not read, telling costs nothing, and the end has a limit.
func TestManagerNeverHoldsUp(t *testing.T) {
	t.Parallel()
	m := newManager(neverReads(t), 0, slog.New(slog.DiscardHandler))
	m.takeOver()
	m.hear()
	began := time.Now()
	for range 10 * mostNotices {
		m.tell("STATUS=who reads this?")
	}
	if d := time.Since(began); d > barrierTimeout {
		t.Errorf("telling took %s", d)
	}
	m.close()
	if d := time.Since(began); d > 10*barrierTimeout {
		t.Errorf("the end took %s", d)
	}
	m.tell("STATUS=after the end")
}

// TestNoManager: without one, everything is silent.
func TestNoManager(t *testing.T) {
	var m *manager
	m.tell("READY=1")
	m.takeOver()
	m.hear()
	m.handOver(func() {}, "MAINPID=7")
	m.close()
	if m.followsUs() {
		t.Error("there is nobody to follow us")
	}
}

func TestWatchdogInterval(t *testing.T) {
	for _, c := range []struct {
		usec, pid string
		successor bool
		want      time.Duration
	}{
		{"2000000", "self", false, 2 * time.Second},
		{"2000000", "", false, 2 * time.Second},
		{"2000000", "1", false, 0}, // it is for another process
		{"2000000", "1", true, 2 * time.Second},
		{"", "self", false, 0},
		{"soon", "self", false, 0},
		{"-1", "self", false, 0},
	} {
		t.Setenv("WATCHDOG_USEC", c.usec)
		t.Setenv("WATCHDOG_PID", strings.ReplaceAll(c.pid, "self", strconv.Itoa(os.Getpid())))
		if got := watchdogInterval(c.successor); got != c.want {
			t.Errorf("WATCHDOG_USEC=%q WATCHDOG_PID=%q successor=%v: %s, want %s", c.usec, c.pid, c.successor, got, c.want)
		}
	}
}
