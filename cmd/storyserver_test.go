//go:build unix

package cmd_test

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/moult-go/moult/grace/gracetest"
)

// served is a server of the story.
type served struct {
	addr, log  string
	cmd        *exec.Cmd
	load       *gracetest.Load
	supervisor *supervisor // nil: none
}

func (s *story) instance(_ *testscript.TestScript, args []string) error {
	log := "log-" + args[0]
	for _, one := range s.all {
		if one.log == log {
			s.served = one
			return nil
		}
	}
	addr, err := freeAddress()
	s.served = &served{addr: addr, log: log}
	s.all = append(s.all, s.served)
	return err
}

// pids finds the processes of the story by their working directory.
func (s *story) pids() (list []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if cwd, _ := os.Readlink(filepath.Join("/proc", e.Name(), "cwd")); cwd != s.dir || pid == os.Getpid() {
			continue
		}
		if stat, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "stat")); !strings.Contains(string(stat), ") Z ") {
			list = append(list, pid)
		}
	}
	slices.SortFunc(list, func(a, b int) int { return cmp.Compare(startOf(a), startOf(b)) })
	return list
}

// startOf is when a process was started, in the kernel's ticks.
func startOf(pid int) int {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(stat), ") ")
	if fields := strings.Fields(after); len(fields) > 19 {
		start, _ := strconv.Atoi(fields[19])
		return start
	}
	return 0
}

func (s *story) serve(ts *testscript.TestScript, args []string) error {
	return s.start(append(os.Environ(), "PATH="+ts.Getenv("PATH")), args)
}

func (s *story) start(env, args []string) error {
	out, err := os.OpenFile(filepath.Join(s.dir, s.log), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	env = append(env, "MOULT_TEST_SKEW="+filepath.Join(s.dir, "skew"))
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		env, args = append(env, args[0]), args[1:]
	}
	s.cmd = exec.Command(filepath.Join(s.dir, "opt", "app"), append([]string{"serve", "--listen", s.addr, "--dir", "www", "--debug-sleep", "--log-format", "text"}, args...)...)
	s.cmd.Env = env
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.dir, out, out
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go s.cmd.Process.Wait()
	if !until(func() bool { _, err := s.version(); return err == nil }) {
		return fmt.Errorf("does not serve; log:\n%s", s.logged())
	}
	return nil
}

func (s *story) version() (string, error) {
	tr := &http.Transport{DisableKeepAlives: true}
	res, err := (&http.Client{Transport: tr, Timeout: 5 * time.Second}).Get("http://" + s.addr + "/debug/sleep?ms=0")
	if err != nil {
		return "", err
	}
	res.Body.Close()
	return res.Header.Get("X-Version"), nil
}

func (s *story) logged() string {
	b, _ := os.ReadFile(filepath.Join(s.dir, s.log))
	return string(b)
}

func (s *story) startLoad(*testscript.TestScript, []string) error {
	s.load = gracetest.Start(gracetest.Options{Addr: s.addr, Path: "/debug/sleep?ms=0", SlowPath: "/debug/sleep?ms=200",
		KeepAlive: 2, New: 1, Slow: 1, Pause: 15 * time.Millisecond})
	return nil
}

func (s *story) lost(ts *testscript.TestScript, args []string) error {
	most, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	report := s.load.Stop()
	s.load = nil
	requests, failures := report.Total()
	ts.Logf("%d of %d requests lost %v", failures, requests, report.Failures)
	if failures > most || requests < 20 {
		return fmt.Errorf("%d of %d requests lost, at most %d may be: %v", failures, requests, most, report.Failures)
	}
	return nil
}

func (s *story) serves(_ *testscript.TestScript, args []string) error {
	var got string
	if !until(func() bool { got, _ = s.version(); return got == args[0] }) {
		return fmt.Errorf("version %q answers, want %s; log:\n%s", got, args[0], s.logged())
	}
	return nil
}

func (s *story) logs(_ *testscript.TestScript, args []string) error {
	re, err := regexp.Compile("(?m)" + args[0])
	if err != nil {
		return err
	}
	if !until(func() bool { return re.MatchString(s.logged()) }) {
		return fmt.Errorf("no line like %q in the log:\n%s", args[0], s.logged())
	}
	return nil
}

func (s *story) signal(_ *testscript.TestScript, args []string) error {
	signals := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL, "USR2": syscall.SIGUSR2}
	if n := len(s.pids()); n != 1 {
		return fmt.Errorf("%d processes, want one", n)
	}
	return syscall.Kill(s.pids()[0], signals[args[0]])
}

func (s *story) alone(*testscript.TestScript, []string) error {
	servers := 0
	for _, one := range s.all {
		if one.cmd != nil || one.supervisor != nil {
			servers++
		}
	}
	if !until(func() bool { return len(s.pids()) == servers }) {
		return fmt.Errorf("%d processes are left; log:\n%s", len(s.pids()), s.logged())
	}
	return nil
}

func (s *story) terminate(*testscript.TestScript, []string) error {
	pids := s.pids()
	if len(pids) == 0 {
		return errors.New("no process is there to be stopped")
	}
	if err := syscall.Kill(pids[0], syscall.SIGTERM); err != nil {
		return err
	}
	return s.allGone()
}

func (s *story) killAll(*testscript.TestScript, []string) error {
	for _, pid := range s.pids() {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	return s.allGone()
}

func (s *story) killFirst(*testscript.TestScript, []string) error {
	return s.cmd.Process.Signal(syscall.SIGKILL)
}

func (s *story) killOldest(*testscript.TestScript, []string) error {
	return syscall.Kill(s.pids()[0], syscall.SIGKILL)
}

func (s *story) killLast(*testscript.TestScript, []string) error {
	pids := s.pids()
	return syscall.Kill(pids[len(pids)-1], syscall.SIGKILL)
}

func (s *story) allGone() error {
	if !until(func() bool { return len(s.pids()) == 0 }) {
		return fmt.Errorf("%d processes are left; log:\n%s", len(s.pids()), s.logged())
	}
	return nil
}
