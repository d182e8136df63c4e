package grace

import (
	"os"
	"strings"
	"sync"
	"syscall"
)

// lastWordsKept is how much of a successor's last output is kept, in bytes.
const lastWordsKept = 4096

// lastWords reads what a successor says on standard error until HELLO, which is passed on to ours, and
// afterwards only the output of a crash, which went to standard error as well.
type lastWords struct {
	r     *os.File
	done  chan struct{} // closed when every writer is gone
	crash chan struct{} // holds a token after words that came after HELLO

	mu    sync.Mutex
	tail  []byte
	quiet bool // after HELLO: do not pass on
}

// newLastWords returns the writing end as well, for the child; the caller closes it after the fork.
func newLastWords() (*lastWords, *os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	l := &lastWords{r: r, done: make(chan struct{}), crash: make(chan struct{}, 1)}
	go l.read()
	return l, w, nil
}

func (l *lastWords) read() {
	defer close(l.done)
	defer l.r.Close()
	buf := make([]byte, 4096)
	for {
		n, err := l.r.Read(buf)
		l.mu.Lock()
		l.tail = append(l.tail, buf[:n]...)
		if over := len(l.tail) - lastWordsKept; over > 0 {
			l.tail = append([]byte(nil), l.tail[over:]...)
		}
		quiet := l.quiet
		l.mu.Unlock()
		if quiet && n > 0 {
			select {
			case l.crash <- struct{}{}:
			default:
			}
		}
		if !quiet && isStandard(2) {
			// Past package os, which would let a pipe without a reader end this process.
			syscall.Write(syscall.Stderr, buf[:n])
		}
		if err != nil {
			return
		}
	}
}

// greeted begins anew at HELLO: what comes from now on is a crash.
func (l *lastWords) greeted() {
	l.mu.Lock()
	l.quiet, l.tail = true, nil
	l.mu.Unlock()
}

// abandon ends the reader of a child that never was, or is gone while a process that it has left holds the pipe.
func (l *lastWords) abandon() { l.r.Close() }

func (l *lastWords) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.TrimSpace(string(l.tail))
}
