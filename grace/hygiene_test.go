//go:build unix

package grace_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestHelpersInheritNothing: a process that the program starts gets descriptors 0 to 2 and the environment that generation 1 had,
// before readiness and after, in every generation; and the limits of descriptors that generation 1 was started with.
func TestHelpersInheritNothing(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/bin/sh", "-c", `ulimit -Sn 600; exec "$0"`, executable(t))
	s := startPlan(t, t.TempDir(), cmd, "helper early.1", "open tcp 127.0.0.1:0", "open unix a.sock", "file plain", "helper late.1")
	addr := s.addrs(1)[0]
	s.plan("helper early.2", "open tcp 127.0.0.1:0", "open unix a.sock", "file plain", "helper late.2")
	s.askAt(addr, "/helper?name=ready.1")
	s.upgradeAt(addr)
	s.addrs(2)
	s.askAt(addr, "/helper?name=ready.2")
	usual := usualDescriptors(t)
	var first []string
	for _, name := range []string{"early.1", "late.1", "ready.1", "early.2", "late.2", "ready.2"} {
		text := s.file(name)
		if fds := descriptors(text); !among(fds, usual) {
			t.Errorf("%s: descriptors %q, want none but %q", name, fds, usual)
		}
		var rest []string
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, "fd ") {
				rest = append(rest, line)
			}
		}
		slices.Sort(rest)
		if first == nil {
			first = rest
		}
		if !slices.Equal(rest, first) {
			t.Errorf("%s: environment and limits\n%s\nat first\n%s", name, strings.Join(rest, ""), strings.Join(first, ""))
		}
	}
	if !slices.ContainsFunc(first, func(line string) bool { return strings.HasPrefix(line, "limit 600 ") }) {
		t.Errorf("limits: %q", first)
	}
}

// TestArgumentsTravel, with the name that the program was called by: some behave by it.
func TestArgumentsTravel(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/cmdline"); err != nil {
		t.Skip("needs procfs: ", err)
	}
	cmd := exec.Command(executable(t))
	cmd.Args = []string{"swiss-knife", "serve", "--flag=x", "--", "-not-a-flag", "two words", ""}
	s := startPlan(t, t.TempDir(), cmd, "open tcp 127.0.0.1:0")
	addr := s.addrs(1)[0]
	for g := 2; g <= 3; g++ {
		s.upgradeAt(addr)
		s.addrs(g)
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pidOf(t, addr)))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00"); !slices.Equal(got, cmd.Args) {
		t.Errorf("generation 3 was called as %q", got)
	}
}

// TestNoDescriptorLeft: the verdict says what to do, and this process serves on.
func TestNoDescriptorLeft(t *testing.T) {
	t.Parallel()
	s := startPlan(t, t.TempDir(), nil, "open tcp 127.0.0.1:0")
	client := dialKeepAlive(t, s.addrs(1)[0])
	client.get(t, "/tight")
	if got := client.get(t, "/upgrade"); !strings.Contains(got, "LimitNOFILE=") || !strings.Contains(got, "exec: ") {
		t.Errorf("verdict %q", got)
	}
	if got := client.get(t, "/generation"); got != "1" {
		t.Errorf("generation %s answers", got)
	}
	if n := len(s.pids()); n != 1 {
		t.Errorf("%d processes", n)
	}
}

// TestNoExecutable: a program whose file is gone at the start serves; that it cannot be started again, the first handover
// says. A path that is given may still be, and its successors know no more.
func TestNoExecutable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app")
	b, err := os.ReadFile(executable(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o700); err != nil {
		t.Fatal(err)
	}
	s := startPlan(t, t.TempDir(), exec.Command(path), "forget", "open tcp 127.0.0.1:0")
	addr := s.addrs(1)[0]
	s.plan("open tcp 127.0.0.1:0")
	if got := s.askAt(addr, "/upgrade"); !strings.Contains(got, "exec: find the executable") {
		t.Errorf("verdict %q", got)
	}
	if got := s.askAt(addr, "/upgrade?path="+executable(t)); got != "ok" {
		t.Fatalf("verdict %q", got)
	}
	s.addrs(2)
	if got := s.askAt(addr, "/upgrade"); !strings.Contains(got, "exec: find the executable") {
		t.Errorf("verdict %q", got)
	}
}

// TestNoProcfs: without it a program does not know its own executable.
func TestNoProcfs(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to unmount procfs")
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Skip("needs unshare: ", err)
	}
	cmd := exec.Command(unshare, "-m", "/bin/sh", "-c", `mount -t tmpfs none /proc && exec "$0"`, executable(t))
	s := startPlan(t, t.TempDir(), cmd, "open tcp 127.0.0.1:0")
	addr := s.addrs(1)[0]
	if got := s.askAt(addr, "/upgrade"); !strings.Contains(got, "exec: find the executable") {
		t.Errorf("verdict %q", got)
	}
	if got := s.askAt(addr, "/upgrade?path="+executable(t)); got != "ok" {
		t.Errorf("verdict %q", got)
	}
	s.stopAt(addr)
}
