//go:build unix

package updater

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cutFirst is what else happens at the step, by the word of UPDATER_TEST_CUT.
var cutFirst = func(dir, how string) error { return nil }

func init() { otherProcess[""] = killChild }

// killChild is another process: it upgrades the installation in UPDATER_TEST_DIR, tells each step, and kills
// itself with SIGKILL at the one it was told. In the modes of a rollback it goes back instead, in "recovery" it only takes the lock.
func killChild() int {
	dir, at, mode := os.Getenv("UPDATER_TEST_DIR"), os.Getenv("UPDATER_TEST_KILL"), os.Getenv("UPDATER_TEST_MODE")
	payload, err := os.ReadFile(filepath.Join(dir, "payload"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	src := &fakeSource{}
	src.offer("9.9.2-good", payload)
	o := Options{Name: "hello", Version: "1.0.0", Source: src, InstallPath: filepath.Join(dir, "hello"), Module: "-"}
	if mode != "alone" {
		o.ReplaceFirst = strings.HasPrefix(mode, "replace first")
		o.Handover = handoverFunc(func(_ context.Context, _ string, commit func() error) error {
			if strings.HasSuffix(mode, "undone") {
				return &undone{verdict: true, undone: true, guilty: true}
			}
			return commit()
		})
	}
	u, err := New(o)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	seen := map[string]int{}
	u.step = func(p string) {
		seen[p]++
		p = fmt.Sprintf("%s #%d", p, seen[p])
		fmt.Println("STEP " + p)
		if p == at {
			if err := cutFirst(dir, os.Getenv("UPDATER_TEST_CUT")); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	switch ctx := context.Background(); mode {
	case "rollback", "rollback undone":
		u.Rollback(ctx, Request{})
	case "recovery":
		u.Lock(ctx)
	default:
		u.Upgrade(ctx, Request{})
	}
	return 0
}

func stepsOf(out string) (steps []string) {
	for line := range strings.Lines(out) {
		if p, ok := strings.CutPrefix(strings.TrimSpace(line), "STEP "); ok {
			steps = append(steps, p)
		}
	}
	return steps
}

func runKillChild(t *testing.T, dir, mode, at string) (out string, killed bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), "UPDATER_TEST_DIR="+dir, "UPDATER_TEST_KILL="+at, "UPDATER_TEST_MODE="+mode)
	b, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatal("the child hangs")
	}
	ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	killed = ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL
	if err != nil && !killed {
		t.Fatalf("child: %v\n%s", err, b)
	}
	return string(b), killed
}

func killSite(t *testing.T, payload []byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range map[string][]byte{"hello": []byte(oldBytes), "payload": payload} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestKillAtEveryStep (G11) proves the first promise of the package: whatever step a SIGKILL meets, the install path
// names a whole executable, and the next process finds or makes everything consistent.
func TestKillAtEveryStep(t *testing.T) {
	payload := candidate(t, "9.9.2-good")
	for _, mode := range []string{"handover", "undone", "replace first", "replace first undone", "alone"} {
		out, _ := runKillChild(t, killSite(t, payload), mode, "")
		steps := stepsOf(out)
		if len(steps) < 20 {
			t.Fatalf("%s: only %d steps:\n%s", mode, len(steps), out)
		}
		for _, at := range steps {
			t.Run(mode+"/"+at, func(t *testing.T) {
				dir := killSite(t, payload)
				if out, killed := runKillChild(t, dir, mode, at); !killed {
					t.Fatalf("not killed\n%s", out)
				}
				b := &bench{t: t, path: filepath.Join(dir, "hello"), source: &fakeSource{}, log: io.Discard}
				whole := func() string {
					got := b.installed()
					if got != oldBytes && got != string(payload) {
						t.Fatalf("%d bytes at the install path: neither the old nor the new version", len(got))
					}
					return got
				}
				before := whole()
				b.open(nil)
				b.lock()
				after := whole()
				b.wantTidy()
				if strings.HasSuffix(mode, "undone") && after != oldBytes {
					t.Error("a build that was undone is installed")
				}
				if !strings.HasPrefix(mode, "replace first") && before != after {
					t.Error("recovery changed the install path")
				}
				if h, err := b.History(); err != nil || len(h) > 1 {
					t.Errorf("history %+v, %v", h, err)
				} else if len(h) == 1 && h[0].Outcome == outcomeCommitted && after == oldBytes {
					t.Errorf("history says %+v, and the old version is installed", h[0])
				}
			})
		}
	}
}
