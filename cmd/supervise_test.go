//go:build unix

package cmd_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// supervisor starts the server again whenever no process of it is left, as a service manager does.
type supervisor struct {
	stop   func() // waits until no process is left
	mu     sync.Mutex
	starts []int // pids
}

func (s *story) supervise(_ *testscript.TestScript, args []string) error {
	out, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	v := &supervisor{}
	ended, gone := make(chan struct{}), make(chan struct{})
	v.stop = sync.OnceFunc(func() { close(ended); <-gone })
	s.supervisor = v
	go func() { // ends with stop
		defer close(gone)
		defer out.Close()
		var running atomic.Int32 // of those that it started: one that is becoming another program is not among the pids for a moment
		for {
			if running.Load() == 0 && len(s.pids()) == 0 {
				cmd := exec.Command(filepath.Join(s.dir, "opt", "app"), append([]string{"serve", "--listen", s.addr, "--dir", "www", "--debug-sleep", "--log-format", "text"}, args...)...)
				cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, out, out
				if err := cmd.Start(); err != nil {
					fmt.Fprintln(out, "supervisor:", err)
				} else {
					v.mu.Lock()
					v.starts = append(v.starts, cmd.Process.Pid)
					v.mu.Unlock()
					running.Add(1)
					go func() {
						cmd.Wait()
						running.Add(-1)
					}()
				}
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ended:
				until(func() bool {
					for _, pid := range s.pids() {
						syscall.Kill(pid, syscall.SIGKILL)
					}
					return len(s.pids()) == 0
				})
				return
			}
		}
	}()
	return nil
}

func (s *story) unsupervise(*testscript.TestScript, []string) error {
	s.supervisor.stop()
	return nil
}

// started wants that the supervisor has started n processes, and that the last of them serves.
func (s *story) started(_ *testscript.TestScript, args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	s.supervisor.mu.Lock()
	defer s.supervisor.mu.Unlock()
	starts, serving := s.supervisor.starts, s.pids()
	if len(starts) != n || len(serving) != 1 || serving[0] != starts[n-1] {
		return fmt.Errorf("started %v, want %d of them; %v serves", starts, n, serving)
	}
	return nil
}
