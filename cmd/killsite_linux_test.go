//go:build amd64

package cmd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A site is an installation of cmd/app in a directory of its own, a client that asks its server all the time, and somebody who looks
// at the executable all the time.
type site struct {
	story
	looker *looker
	asker  *asker // nil: nobody asks
	asked  int64  // requests so far
}

// A kit is what all sites begin with: a key, and executables with their signatures.
type kit struct{ dir string }

var kitVersions = []string{"1.0.0", "2.0.0", "3.0.0"}

func newKit(dir, bin string) (kit, error) {
	s := &story{dir: dir, bin: bin}
	if err := errors.Join(s.keys(nil, nil), os.Mkdir(filepath.Join(dir, "drop"), 0o755)); err != nil {
		return kit{}, err
	}
	for _, v := range kitVersions {
		if err := s.drop(nil, []string{v}); err != nil {
			return kit{}, err
		}
		for _, name := range []string{"app", "app.minisig"} {
			if err := os.Rename(filepath.Join(dir, "drop", name), filepath.Join(dir, name+"-"+v)); err != nil {
				return kit{}, err
			}
		}
	}
	return kit{dir}, nil
}

// site has version 1.0.0 installed, and 2.0.0 offered. With like it is a copy of that one.
func (k kit) site(dir string, like *site) (*site, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &site{story: story{dir: dir, served: &served{addr: addr, log: "log"}}}
	s.looker = newLooker(filepath.Join(dir, "opt", "app"), k)
	if like != nil {
		return s, like.copyTo(dir)
	}
	for _, d := range []string{"opt", "drop", "www", "cli"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	return s, errors.Join(copyFile(filepath.Join(k.dir, "key.pub"), filepath.Join(dir, "key.pub"), nil),
		copyFile(filepath.Join(k.dir, "app-1.0.0"), filepath.Join(dir, "opt", "app"), nil), k.offer(s, "2.0.0"))
}

// copyTo copies a site where nobody lives any more, with what its server had written down of its place, but without its log: the next server has one of its own.
func (s *site) copyTo(dir string) error {
	if err := exec.Command("cp", "-a", s.dir+"/.", dir).Run(); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, s.served.log)); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "opt", ".app.d", "instances", "*", "instance.json"))
	for _, file := range files {
		b, rerr := os.ReadFile(file)
		err = errors.Join(err, rerr, os.WriteFile(file, bytes.ReplaceAll(b, []byte(s.dir), []byte(dir)), 0o600))
	}
	return err
}

func (k kit) offer(s *site, version string) error {
	for _, name := range []string{"app", "app.minisig"} {
		to := filepath.Join(s.dir, "drop", name)
		if err := copyFile(filepath.Join(k.dir, name+"-"+version), to, nil); err != nil {
			return err
		}
	}
	return nil
}

// serveArgs are those of every server here. It updates when it is asked. The second look at health comes before the end of probation, each time.
func (s *site) serveArgs() []string {
	return []string{"serve", "--listen", s.addr, "--dir", "www", "--debug-sleep", "--log-format", "text", "--watch", "drop/app", "--minisign-key", "key.pub",
		"--interval", "-1s", "--probation", "300ms", "--health-interval", "200ms", "--drain-timeout", "1s"}
}

// trace starts a program under a tracer, with the log in the file log.
func (s *site) trace(t *tracer, role, program string, args []string) (ended <-chan struct{}, err error) {
	out, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	_, ended, err = t.start(role, program, args,
		&os.ProcAttr{Dir: s.dir, Env: os.Environ(), Files: []*os.File{nil, out, out}})
	return ended, err
}

// upgrade asks for an update, as a user does, from outside the site.
func (s *site) upgrade(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(s.dir, "opt", "app"), "upgrade", "--yes")
	cmd.Dir = filepath.Join(s.dir, "cli")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("upgrade: %w\n%s", err, out)
	}
	return nil
}

// upgradeWhenRested asks again as long as another attempt is under way: a successor that took over is on probation for a while.
func (s *site) upgradeWhenRested(ctx context.Context) (err error) {
	s.wait(func() bool {
		err = s.upgrade(ctx)
		var exit *exec.ExitError
		return !errors.As(err, &exit) || exit.ExitCode() != 6
	})
	return err
}

// lives reports whether a process is there, with a thread that is more than a zombie: of one that dies the first may end before the others.
func lives(pid int) bool {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil || len(tasks) > 1 {
		return err == nil
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// servers lists the processes that serve, or are about to: not the children that stage and prove.
func (s *site) servers() (list []int) {
	for _, pid := range s.pids() {
		if r := roleOf(pid); r == nil || *r == "successor" {
			list = append(list, pid)
		}
	}
	return list
}

// journal is what state.json says.
type journal struct {
	Phase string
	Last  struct{ Outcome, To string }
}

func (s *site) journal() (j journal, err error) {
	b, err := os.ReadFile(filepath.Join(s.dir, "opt", ".app.d", "state.json"))
	if errors.Is(err, os.ErrNotExist) {
		return journal{Phase: "idle"}, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &j)
	}
	return j, err
}

// settled reports what is not yet as it should be when all is over: one process serves the version that is installed, and no attempt
// is under way.
func (s *site) settled() error {
	j, err := s.journal()
	if err != nil {
		return err
	}
	if j.Phase != "idle" {
		return fmt.Errorf("the journal says %q", j.Phase)
	}
	version, err := s.version()
	if err != nil {
		return err
	}
	if installed := s.looker.look(); version != installed {
		return fmt.Errorf("version %q serves, %q is installed", version, installed)
	}
	if j.Last.Outcome == "committed" && j.Last.To != version {
		return fmt.Errorf("the journal says that %s is committed, and %s is installed", j.Last.To, version)
	}
	if n := len(s.servers()); n != 1 {
		return fmt.Errorf("%d processes serve", n)
	}
	return nil
}

func (s *site) settle() (err error) {
	if s.wait(func() bool { err = s.settled(); return err == nil }) {
		return nil
	}
	return fmt.Errorf("does not come to rest: %w", err)
}

// wait is until for what takes its time to look at.
func (s *site) wait(cond func() bool) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) { // between two looks
		if cond() {
			return true
		}
	}
	return false
}
