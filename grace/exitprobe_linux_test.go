package grace

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestTaskStat(t *testing.T) {
	for _, c := range []struct {
		stat string
		want taskStat
	}{
		{"12 (app) S 1 12 12 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 7 0 100", taskStat{false, 7}},
		{"12 (app) R 1 12 12 0 -1 4194308 0 0 0 0 0 0 0 0 20 0 7 0 100", taskStat{true, 7}},        // exiting
		{"12 (app) S 1 12 12 0 -1 4195328 0 0 0 0 0 0 0 0 20 0 7 0 100", taskStat{true, 7}},        // killed by a signal
		{"12 (app) D 1 12 12 0 -1 4194816 0 0 0 0 0 0 0 0 20 0 7 0 100", taskStat{true, 7}},        // dumping core
		{"12 (app) Z 1 12 12 0 -1 4227084 0 0 0 0 0 0 0 0 20 0 1 0 100", taskStat{true, 1}},        // zombie
		{"12 (app) X 0 -1 -1 0 -1 4228108 0 0 0 0 0 0 0 0 20 0 0 0 100", taskStat{false, 0}},       // being released
		{"12 (a) Z 1 (b) S 1 12 12 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 7 0 100", taskStat{false, 7}}, // a name made to mislead
		{"12 (app) Z 1 12", taskStat{}},
		{"12 (app", taskStat{}},
		{"", taskStat{}},
	} {
		if got := parseTaskStat([]byte(c.stat)); got != c.want {
			t.Errorf("parseTaskStat(%q) = %v", c.stat, got)
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

// TestRecycledPid: nothing can be read of a process that was reaped. Whoever has its number by now, here this process, lives and does not count.
func TestRecycledPid(t *testing.T) {
	reaped, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	p := exitProbe{os.Getpid(), reaped}
	defer p.close()
	if !p.exiting() {
		t.Error("a process that has the number of a dead one is taken for it")
	}
}

// TestThreadsOfTheDead: a first thread that is a zombie leaves the others to say whether the process dies. One that cannot be read, or that
// the list lacks, may be the one that goes on.
func TestThreadsOfTheDead(t *testing.T) {
	defer func(dir string) { procfs = dir }(procfs)
	const live, dying, gone = "(app) S 1 7 7 0 -1 64 0 0 0 0 0 0 0 0 20 0 2", "(app) S 1 7 7 0 -1 1028 0 0 0 0 0 0 0 0 20 0 2", ""
	for _, c := range []struct {
		name   string
		count  string            // of threads, says the first
		others map[string]string // than the first, in the list
		want   bool
	}{
		{"the only one", "1", nil, true},
		{"another dies", "2", map[string]string{"8": dying}, true},
		{"another lives", "2", map[string]string{"8": live}, false},
		{"another is gone", "2", map[string]string{"8": gone}, false},
		{"another is not in the list", "2", nil, false},
		{"it is being released", "0", nil, false},
	} {
		procfs = t.TempDir()
		first := "7 (app) Z 1 7 7 0 -1 1028 0 0 0 0 0 0 0 0 20 0 " + c.count
		write := func(dir, stat string) {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if stat == gone {
				return
			}
			if err := os.WriteFile(dir+"/stat", []byte(stat), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		write(procfs+"/7", first)
		write(procfs+"/7/task/7", first)
		for tid, stat := range c.others {
			write(procfs+"/7/task/"+tid, stat)
		}
		p := newExitProbe(7)
		if got := p.exiting(); got != c.want {
			t.Errorf("%s: exiting %v, want %v", c.name, got, c.want)
		}
		p.close()
	}
}

// TestExecIsNoDeath reads a process that becomes another program again and again, from a thread that is not its first: until the kernel has
// given that one the process's number, the first is a zombie.
func TestExecIsNoDeath(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "GRACE_TEST_PROGRAM=exec", "GRACE_TEST_EXECS=100")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := make(chan string, 1)
	go func() {
		b := make([]byte, 8)
		n, _ := out.Read(b)
		last <- string(b[:n])
	}()
	p := newExitProbe(cmd.Process.Pid)
	defer p.close()
	for reads := 1; ; reads++ {
		dead := p.exiting()
		select {
		case said := <-last:
			if said != "last\n" || dead {
				t.Errorf("the last program said %q; taken for dead: %v", said, dead)
			}
		default:
			if !dead {
				continue
			}
			t.Errorf("taken for dead at read %d, and it went on to say %q", reads, <-last)
		}
		break
	}
	cmd.Process.Kill()
	cmd.Wait()
}
