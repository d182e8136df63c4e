package grace

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestDying(t *testing.T) {
	for _, c := range []struct {
		stat string
		want bool
	}{
		{"12 (app) S 1 12 12 0 -1 4194304 100", false},
		{"12 (app) R 1 12 12 0 -1 4194308 100", true},        // exiting
		{"12 (app) S 1 12 12 0 -1 4195328 100", true},        // killed by a signal
		{"12 (app) D 1 12 12 0 -1 4194816 100", true},        // dumping core
		{"12 (app) Z 1 12 12 0 -1 4227084 0", true},          // zombie
		{"12 (a) Z 1 (b) S 1 12 12 0 -1 4194304 100", false}, // a name made to mislead
		{"12 (app", false},
		{"", false},
	} {
		if got := dying([]byte(c.stat)); got != c.want {
			t.Errorf("dying(%q) = %v", c.stat, got)
		}
	}
}

// TestExitProbe reads a real process to its end.
func TestExitProbe(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Skip("needs sleep: ", err)
	}
	p := newExitProbe(cmd.Process.Pid)
	defer p.close()
	if p.exiting() {
		t.Error("a sleeping process is taken for dead")
	}
	cmd.Process.Kill()
	for end := time.Now().Add(5 * time.Second); !p.exiting(); {
		if time.Now().After(end) {
			t.Fatal("not seen to die within 5 s of the kill")
		}
	}
	cmd.Wait()
	if !p.exiting() {
		t.Error("a reaped process is taken for alive")
	}
	if newExitProbe(os.Getpid()).exiting() {
		t.Error("this process is taken for dead")
	}
}
