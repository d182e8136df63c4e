package gracetest

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Options says whom to load, and by how many clients of each kind.
type Options struct {
	Addr string // host:port

	Path       string // of GETs on new connections; default "/"
	PostPath   string // of POSTs; default Path
	SlowPath   string // of slow GETs; default Path
	StreamPath string // of streaming GETs, which [Stream] answers; default Path

	KeepAlive, Idle, New, Slow, Bytewise              int
	Pipelined, Streaming, Distant, Hold, Late, Silent int

	// Each pause between two requests of a client is drawn anew, from half to one and a half of these.
	Pause     time.Duration // default 1 ms
	IdlePause time.Duration // of idle and distant ones; default 200 ms
	HoldPause time.Duration // of held ones; default 5 s

	LatePause time.Duration // from the connection to the first byte of late ones; default 1 s
	Timeout   time.Duration // of one request; default 30 s

	TLS *tls.Config // of the clients; nil: no TLS

	// OnAnswer is told of every request, from its client's goroutine. May be nil.
	OnAnswer func(Answer)

	excuse func(Answer) bool // whether a failure has an explanation
}

func (o *Options) fill() {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.Pause, time.Millisecond)
	def(&o.IdlePause, 200*time.Millisecond)
	def(&o.HoldPause, 5*time.Second)
	def(&o.LatePause, time.Second)
	def(&o.Timeout, 30*time.Second)
	if o.Path == "" {
		o.Path = "/"
	}
	for _, p := range []*string{&o.PostPath, &o.SlowPath, &o.StreamPath} {
		if *p == "" {
			*p = o.Path
		}
	}
	if o.excuse == nil {
		o.excuse = func(Answer) bool { return false }
	}
	if o.OnAnswer == nil {
		o.OnAnswer = func(Answer) {}
	}
}

// Load is a running load.
type Load struct {
	o      Options
	quit   chan struct{}
	wg     sync.WaitGroup
	silent []*client

	mu     sync.Mutex
	report Report
}

// Start begins to send requests. It returns when every silent connection is open and has had its first answer.
func Start(o Options) *Load {
	o.fill()
	l := &Load{o: o, quit: make(chan struct{}), report: Report{Requests: map[Kind]int{}, Failures: map[Kind]map[string]int{}}}
	l.openSilent()
	for kind, n := range o.clients() {
		for i := range n {
			l.wg.Go(func() { l.run(newClient(l, kind, i)) })
		}
	}
	return l
}

func newClient(l *Load, kind Kind, i int) *client {
	return &client{l: l, kind: kind, body: fmt.Sprintf("%s %d", kind, i)}
}

// Stop lets every client finish its request, asks the silent ones, and returns the sum.
func (l *Load) Stop() Report {
	close(l.quit)
	l.wg.Wait()
	l.askSilent()
	return l.report
}

// Requests returns how many have been answered or lost by now.
func (l *Load) Requests() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, _ := l.report.Total()
	return n
}

func (l *Load) run(c *client) {
	defer c.hangUp()
	for {
		c.turn()
		p := l.o.pause(c.kind)
		if !l.sleep(p/2 + rand.N(p)) {
			break
		}
	}
	if c.kind == Hold && c.conn != nil {
		c.turn() // was its connection kept?
	}
}

// sleep returns false at once when the load is to stop.
func (l *Load) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-l.quit:
		return false
	case <-t.C:
		return true
	}
}

func (l *Load) count(a Answer) {
	l.mu.Lock()
	l.report.add(a, a.Err != nil && l.o.excuse(a))
	l.mu.Unlock()
	l.o.OnAnswer(a)
}
