//go:build unix

package grace_test

import (
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/moult-go/moult/grace/role"
)

func init() { programs["talkative"] = talkativeProgram }

// talkativeProgram is the full one; its successors keep what standard error is before HELLO, as a helper started then would, and
// say something there at USR1.
func talkativeProgram() {
	if role.Current() == role.Successor {
		fd, err := syscall.Dup(2)
		if err != nil {
			fatal(err)
		}
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGUSR1)
		go func() {
			<-c
			syscall.Write(fd, []byte("all is well\n"))
			os.WriteFile("said", []byte("so"), 0o600)
		}()
	}
	fullProgram()
}

// TestWordsThatAreNoCrash: what comes through the pipe for last words makes the predecessor accept beside its successor, but is no
// verdict: after the next good round of health it stands by again.
func TestWordsThatAreNoCrash(t *testing.T) {
	t.Parallel()
	s := start(t, "talkative", "GRACE_TEST_PROBATION=10m", "GRACE_TEST_HEALTH=300ms")
	s.waitUp()
	old := pidOf(t, s.addr)
	verdict := s.askUpgrade("")
	s.waitLog("standing by")
	next := pidOf(t, s.addr)
	s.signal(next, syscall.SIGUSR1)
	s.file("said")
	s.waitLog("accepting beside it")
	inARow := 0
	eventually(t, "the successor alone again", func() bool {
		if inARow++; pidOf(t, s.addr) == old {
			inARow = 0
		}
		return inARow == 100
	})
	select {
	case got := <-verdict:
		t.Errorf("verdict %q", got)
	default:
	}
}
