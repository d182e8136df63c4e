//go:build unix

package grace

import (
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// findManager reads what a service manager told this line of processes in the environment.
func findManager(successor bool, log *slog.Logger) *manager {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	m := newManager(notifySocket(socket), watchdogInterval(successor), log)
	if !successor {
		m.takeOver()
		m.hear()
	}
	return m
}

// watchdogInterval reads WATCHDOG_USEC, which is for the process that WATCHDOG_PID names. A successor has lost that variable on its way
// (successorEnv), and names itself: a helper that it starts must not take the watchdog for its own.
func watchdogInterval(successor bool) time.Duration {
	us, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || us <= 0 {
		return 0
	}
	self := strconv.Itoa(os.Getpid())
	if successor {
		os.Setenv("WATCHDOG_PID", self)
	}
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != self {
		return 0
	}
	return time.Duration(us) * time.Microsecond
}

// A notifySocket is the address of a datagram socket that a service manager reads.
type notifySocket string

// send waits for no fork that is on its way, which a busy machine may hold up for longer than the watchdog's interval: on Linux, net makes its
// sockets without syscall.ForkLock.
func (s notifySocket) send(text string, rights []byte) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: string(s), Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	defer conn.Close()
	conn.SetWriteDeadline(time.Now().Add(barrierTimeout)) // a manager whose queue is full must not hold us up for ever
	raw, err := conn.SyscallConn()                        // WriteMsgUnix refuses a datagram socket that is connected
	if err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		sent = unix.Sendmsg(int(fd), []byte(text), rights, nil, 0)
		return sent != unix.EAGAIN
	})
	if err := cmp.Or(err, sent); err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	return nil
}

// barrier returns when the manager has read everything that was sent before: it closes the pipe that it gets.
// Only then may the sender exit, or its last words might be attributed to nobody.
func (s notifySocket) barrier() error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	defer r.Close()
	err = s.send("BARRIER=1", unix.UnixRights(int(w.Fd())))
	w.Close()
	if err != nil {
		return err
	}
	r.SetReadDeadline(time.Now().Add(barrierTimeout))
	if _, err := r.Read(make([]byte, 1)); os.IsTimeout(err) {
		return fmt.Errorf("notify the service manager: it has not read it within %s", barrierTimeout)
	}
	return nil
}

// monotonic is CLOCK_MONOTONIC, in which a manager compares when it asked for a reload with when one began.
func monotonic() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
