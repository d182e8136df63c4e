package grace_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// copyProgram puts a copy of the test binary there. It is never a link: what is tested is which file a generation runs.
func copyProgram(t *testing.T, to string) {
	t.Helper()
	in, err := os.Open(executable(t))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// image is the file that whoever answers at addr runs.
func image(t *testing.T, addr string) string {
	t.Helper()
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pidOf(t, addr)))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestStartedByAnyName: a program that was found along PATH, by a relative path or through a symbolic link, and has gone to another
// directory since, is started again from where it lies.
func TestStartedByAnyName(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]func(dir string) *exec.Cmd{
		"PATH":     func(string) *exec.Cmd { return exec.Command("/bin/sh", "-c", `PATH=$PWD/bin:$PATH; exec app`) },
		"relative": func(string) *exec.Cmd { return exec.Command("/bin/sh", "-c", `exec ./bin/../bin/app`) },
		"link":     func(dir string) *exec.Cmd { return exec.Command(filepath.Join(dir, "link")) },
		"argv[0]": func(dir string) *exec.Cmd {
			return &exec.Cmd{Path: filepath.Join(dir, "bin/app"), Args: []string{"-nobody"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			app := filepath.Join(dir, "bin", "app")
			copyProgram(t, app)
			if err := os.Symlink("bin/app", filepath.Join(dir, "link")); err != nil {
				t.Fatal(err)
			}
			s := startPlan(t, dir, how(dir), "open tcp 127.0.0.1:0", "chdir /")
			defer killBelow(t, dir)
			for g := 1; g <= 3; g++ {
				addr := s.addrs(g)[0]
				if got := image(t, addr); got != app {
					t.Errorf("generation %d runs %s, want %s", g, got, app)
				}
				if g < 3 {
					s.upgradeAt(addr)
				}
			}
		})
	}
}

// killBelow ends what runs from a directory: a line of processes that is not to be found by its working directory any more.
func killBelow(t *testing.T, dir string) {
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if exe, _ := os.Readlink(link); strings.HasPrefix(exe, dir+"/") {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
			if err != nil {
				t.Fatal(err)
			}
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// TestExecutableMovedAway: a deploy renames the file that runs and puts another in its place, twice. The system then calls the running
// file by its new name; each generation starts from the old one nevertheless.
func TestExecutableMovedAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	app := filepath.Join(dir, "app")
	copyProgram(t, app)
	s := startPlan(t, dir, exec.Command(app), "open tcp 127.0.0.1:0")
	for g := 1; g <= 3; g++ {
		addr := s.addrs(g)[0]
		if got := image(t, addr); got != app {
			t.Errorf("generation %d runs %s, want %s", g, got, app)
		}
		if g == 3 {
			break
		}
		if err := os.Rename(app, fmt.Sprintf("%s.old%d", app, g)); err != nil {
			t.Fatal(err)
		}
		copyProgram(t, app)
		s.upgradeAt(addr)
	}
}

// TestLinkThatMoves: the install path is what a link led to when generation 1 was started; a handover takes whatever path it is
// told, and Options.Hangup can tell it the link.
func TestLinkThatMoves(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	link := filepath.Join(dir, "current")
	for i, version := range []string{"1", "2"} {
		copyProgram(t, filepath.Join(dir, version, "app"))
		if i == 0 {
			if err := os.Symlink(version, link); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := startPlan(t, dir, exec.Command(filepath.Join(link, "app")), "open tcp 127.0.0.1:0")
	addr := s.addrs(1)[0]
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("2", link); err != nil {
		t.Fatal(err)
	}
	s.upgradeAt(addr) // to the install path
	s.addrs(2)
	if got := image(t, addr); got != filepath.Join(dir, "1", "app") {
		t.Errorf("generation 2 runs %s", got)
	}
	if v := s.askAt(addr, "/upgrade?path="+filepath.Join(link, "app")); v != "ok" {
		t.Fatalf("verdict %q", v)
	}
	s.addrs(3)
	if got := image(t, addr); got != filepath.Join(dir, "2", "app") {
		t.Errorf("generation 3 runs %s", got)
	}
}

// TestExecutableStillOpen: a file that is still open for writing somewhere cannot be executed; what closes it in a moment (a copy that
// comes to its end, a fork that carried the descriptor along) fails no handover.
func TestExecutableStillOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	next := filepath.Join(dir, "next")
	copyProgram(t, next)
	s := startPlan(t, dir, nil, "open tcp 127.0.0.1:0")
	addr := s.addrs(1)[0]
	writer, err := os.OpenFile(next, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if v := s.askAt(addr, "/upgrade?path="+next); !strings.Contains(v, "text file busy") {
		t.Errorf("verdict %q on a file that stays open for writing", v)
	}
	verdict := make(chan string, 1)
	go func() {
		v, err := get(addr, "/upgrade?path="+next)
		verdict <- fmt.Sprint(v, err)
	}()
	time.Sleep(10 * time.Millisecond) // the first attempt finds it open
	writer.Close()
	if v := <-verdict; v != "ok<nil>" {
		t.Errorf("verdict %q on a file that was closed meanwhile", v)
	}
}
