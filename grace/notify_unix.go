//go:build unix

package grace

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// barrierTimeout bounds the wait for a service manager to have read what was sent.
const barrierTimeout = 2 * time.Second

// A manager is the service manager that started this line of processes (sd_notify(3)); its zero value is none.
type manager struct{ socket string }

func findManager() manager { return manager{os.Getenv("NOTIFY_SOCKET")} }

// tell sends one notification. By default a manager accepts them only from the main process: before COMMIT that is the
// predecessor. STOPPING=1 is never sent: from a predecessor it would end the whole unit (final since systemd 259).
func (m manager) tell(lines ...string) error {
	return m.send(strings.Join(lines, "\n"), nil)
}

func (m manager) send(text string, rights []byte) error {
	if m.socket == "" {
		return nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	defer unix.Close(fd)
	unix.CloseOnExec(fd)
	// A manager whose queue is full must not hold up the goroutine that owns the state.
	limit := unix.NsecToTimeval(barrierTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	if err := unix.Sendmsg(fd, []byte(text), rights, &unix.SockaddrUnix{Name: m.socket}, 0); err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	return nil
}

// barrier returns when the manager has read everything that was sent before: it closes the pipe that it gets.
// Only then may the sender exit, or its last words might be attributed to nobody.
func (m manager) barrier() error {
	if m.socket == "" {
		return nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	defer r.Close()
	err = m.send("BARRIER=1", unix.UnixRights(int(w.Fd())))
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
