package grace

import (
	"io"
	"log/slog"
	"net"
	"strconv"
	"syscall"
	"testing"
)

// TestParentRepeats: a stop is told again, once, to whoever becomes the one to tell; other signals are not. What comes when
// there is nobody to tell is told to the next.
func TestParentRepeats(t *testing.T) {
	p := &parent{log: slog.New(slog.DiscardHandler), statuses: map[int]int{}, said: make(chan word, 8), spoken: true}
	join := func(pid int) (*below, func() string) {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { ours.Close(); theirs.Close() })
		heard := make(chan string, 8)
		go func() { // ends with the pipe
			for {
				m, err := readMessage(theirs)
				if err != nil {
					return
				}
				heard <- m.get("number")
			}
		}()
		b := &below{pid: pid, link: newLink(ours)}
		p.take(b)
		return b, func() (all string) {
			io.WriteString(ours, "\x00\x00\x00\x02X?") // what was sent before has been heard when this has
			for {
				n := <-heard
				if n == "" {
					return all
				}
				all += n + " "
			}
		}
	}
	term, hup := strconv.Itoa(int(syscall.SIGTERM))+" ", strconv.Itoa(int(syscall.SIGHUP))+" "
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: heard %q, want %q", what, got, want)
		}
	}

	p.pass(syscall.SIGHUP) // between two generations
	first, heardByFirst := join(10)
	want("the first, of what was kept", heardByFirst(), hup)
	p.hear(word{first, newMessage(msgServing)})
	second, heardBySecond := join(20)
	p.pass(syscall.SIGHUP)
	p.pass(syscall.SIGTERM)
	want("the one that serves", heardByFirst(), hup+term)
	want("the one on probation", heardBySecond(), "")
	p.hear(word{second, newMessage(msgServing)}) // it was let go at that moment
	p.hear(word{second, newMessage(msgServing)})
	want("the one that serves now", heardBySecond(), term)
	p.hear(word{second, message{}})
	want("the one that is left, and knows", heardByFirst(), "")
	_, heardByThird := join(30)
	p.hear(word{first, message{}})
	want("the next one that is left", heardByThird(), term)
}
