package grace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// child is our successor's process. Its goroutines (reader of the link, reader of last words, reaper) end
// with it.
type child struct {
	pid        int
	generation int
	path       string
	link       *link
	words      *lastWords
	proc       *os.Process

	gone   chan struct{}    // closed when it is reaped
	status *os.ProcessState // after gone

	// Only the owner of the state uses these.
	claimed   map[int]bool // places in the offer
	finished  bool         // its exit is no verdict: it was told to stop, or has a successor of its own
	step      time.Time    // when the last Event about it was told
	noWay     bool         // it has said that there is no way back
	moves     bool         // it takes connections
	version   string       // that it says it is
	mover     *mover
	stopMoves context.CancelFunc // nil until the moves begin
	hungUp    bool               // it got a kept HUP with COMMIT
}

func newChild(pid, generation int, path string, l *link, words *lastWords, parent *parentLink) *child {
	c := &child{pid: pid, generation: generation, path: path, link: l, words: words,
		gone: make(chan struct{}), claimed: map[int]bool{}, mover: newMover(l)}
	proc, err := os.FindProcess(pid)
	if err != nil { // never on Unix
		panic(err)
	}
	c.proc = proc
	go c.link.read()
	go c.reap(parent)
	return c
}

func (c *child) reap(parent *parentLink) {
	parent.reap(c.pid, func() *os.ProcessState {
		c.status, _ = c.proc.Wait()
		return c.status
	})
	close(c.gone)
}

// lastReason is how long the reason of one that dies before it is ready may be on its way.
const lastReason = time.Second

// lastWord is how long a message may still be on its way from a process that is dying.
const lastWord = 5 * time.Millisecond

// saidStopping looks through the messages of a process that is dying, as its end may be noticed before the reason that it gave.
func (c *child) saidStopping() bool {
	patience := time.After(lastWord)
	for {
		select {
		case m, ok := <-c.link.in:
			if !ok || m.kind == msgStopping {
				return ok
			}
		case <-patience:
			return false
		}
	}
}

// kill does not wait: the memory of a large process takes seconds to go. The message is for a program that runs below
// the process, which the signal does not reach: it must not take the end of the link for our death.
func (c *child) kill() {
	c.proc.Kill()
	c.link.send(newMessage(msgStop))
}

// watch returns a channel that is closed as soon as the process has begun to die, which with much memory is
// seconds before its descriptors close and it can be reaped. It polls every period until ctx ends.
func (c *child) watch(ctx context.Context, period time.Duration) <-chan struct{} {
	dying := make(chan struct{})
	go func() {
		tick := time.NewTicker(period)
		defer tick.Stop()
		probe := newExitProbe(c.pid)
		defer probe.close()
		for {
			select {
			case <-tick.C:
				if probe.exiting() {
					close(dying)
					return
				}
			case <-c.gone:
				close(dying)
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	return dying
}

// wrapped reports whether a HELLO came from a process below ours, which could neither be watched nor killed.
func (c *child) wrapped(hello message) bool {
	pid := hello.get("pid")
	return pid != "" && pid != strconv.Itoa(c.pid)
}

// readClaims takes the places of the sockets that a READY names.
func (c *child) readClaims(m message) {
	for _, s := range m.fields["socket"] {
		if i, err := strconv.Atoi(s); err == nil {
			c.claimed[i] = true
		}
	}
}

// ending describes how the process ended, after it was reaped.
func (c *child) ending() string {
	if c.status == nil {
		return "ended"
	}
	return c.status.String()
}

// burial bounds the wait for an exit status and last words.
const burial = 15 * time.Second

// bury waits until the process is gone and turns what is known into an error.
func (c *child) bury(cause Cause, why error) *HandoverError {
	e := &HandoverError{Cause: cause, Generation: c.generation, PID: c.pid, Path: c.path, Err: why}
	timeout := time.NewTimer(burial)
	defer timeout.Stop()
	select {
	case <-c.gone:
		select {
		case <-c.words.done:
		case <-time.After(100 * time.Millisecond): // a grandchild may hold the pipe open
		}
		if why == nil {
			e.Err = fmt.Errorf("%s", c.ending())
		}
	case <-timeout.C:
		if why == nil {
			e.Err = errors.New("not reaped yet")
		}
	}
	e.LastWords = c.words.String()
	c.words.abandon()
	c.link.close()
	return e
}
