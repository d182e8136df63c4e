//go:build unix

package updater

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func init() { otherProcesses["cold start"] = coldChild }

// coldChild is a cold start of the installation in UPDATER_TEST_DIR, which kills itself at the step it was told.
func coldChild() int {
	u, err := New(Options{Name: "hello", Version: "9.9.3-good", InstallPath: filepath.Join(os.Getenv("UPDATER_TEST_DIR"), "hello"), Module: "-"})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	seen := map[string]int{}
	u.step = func(p string) {
		seen[p]++
		p = fmt.Sprintf("%s #%d", p, seen[p])
		fmt.Println("STEP " + p)
		if p == os.Getenv("UPDATER_TEST_KILL") {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	back, err := u.countStart()
	fmt.Println("put back:", back, err)
	return 0
}

// TestKillWhileThePreviousVersionIsPutBack: at whatever step the start that goes back is killed, the executable is whole, and the next start ends it.
func TestKillWhileThePreviousVersionIsPutBack(t *testing.T) {
	b, _, bad := updated(t)
	b.starts("9.9.3-good", mostDead)
	good, site := string(candidate(t, "9.9.2-good")), filepath.Dir(b.path)
	clone := func() *bench {
		dir := filepath.Join(t.TempDir(), "site")
		if out, err := exec.Command("cp", "-a", site, dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return &bench{t: t, path: filepath.Join(dir, "hello"), source: &fakeSource{}, log: io.Discard}
	}
	out, _ := runKillChild(t, filepath.Dir(clone().path), "cold start", "")
	if !strings.Contains(out, "put back: true <nil>") {
		t.Fatal(out)
	}
	steps := 0
	for line := range strings.Lines(out) {
		at, ok := strings.CutPrefix(strings.TrimSpace(line), "STEP ")
		if !ok {
			continue
		}
		steps++
		t.Run(at, func(t *testing.T) {
			c := clone()
			c.t = t
			if out, killed := runKillChild(t, filepath.Dir(c.path), "cold start", at); !killed {
				t.Fatalf("not killed: %s", out)
			}
			if got := c.installed(); got != good && got != string(candidate(t, "9.9.3-good")) {
				t.Fatalf("%d bytes at the install path", len(got))
			}
			version := "9.9.3-good"
			if c.installed() == good {
				version = "9.9.2-good"
			}
			c.open(func(o *Options) { o.Version = version })
			if _, err := c.countStart(); err != nil {
				t.Fatal(err)
			}
			if c.installed() != good {
				t.Error("the previous version is not back")
			}
			c.lock()
			s := c.status()
			if len(s.Quarantine) != 1 || s.Quarantine[0].Digest != bad || s.Last.Reason != "crash-loop" {
				t.Errorf("quarantine %v, last %+v", s.Quarantine, s.Last)
			}
			c.wantTidy()
		})
	}
	if steps < 10 {
		t.Errorf("only %d steps", steps)
	}
}
