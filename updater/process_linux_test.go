package updater

import (
	"bufio"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
)

func init() { otherProcesses["exec"] = execAgain }

// execAgain becomes itself UPDATER_TEST_EXECS times, each time from a thread that is not the first of the process.
func execAgain() int {
	left, _ := strconv.Atoi(os.Getenv("UPDATER_TEST_EXECS"))
	if left == 0 {
		os.Stdout.WriteString("last\n")
		time.Sleep(time.Minute) // until it is killed
		return 1
	}
	os.Setenv("UPDATER_TEST_EXECS", strconv.Itoa(left-1))
	failed := make(chan error)
	for range 2 { // each on a thread of its own
		go func() {
			runtime.LockOSThread()
			if syscall.Gettid() != syscall.Getpid() {
				failed <- syscall.Exec("/proc/self/exe", os.Args, os.Environ())
			}
			select {}
		}()
	}
	panic(<-failed)
}

// TestExecLives looks up a process that becomes another program again and again: it is the same one all the time.
func TestExecLives(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "UPDATER_TEST_MODE=exec", "UPDATER_TEST_EXECS=100")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := lookUp(cmd.Process.Pid)
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		said <- line
	}()
	for looks, ended := 1, false; !ended && !t.Failed(); looks++ {
		alive := p.lives()
		select {
		case line := <-said:
			ended = true
			if line != "last\n" {
				t.Errorf("the last program said %q", line)
			}
		default:
			if !alive {
				t.Errorf("taken for gone at look %d; it went on to say %q", looks, <-said)
			}
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	if p.lives() {
		t.Error("taken for alive after its end")
	}
}
