package gracetest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// Kind is a population of clients.
type Kind string

// The populations.
const (
	KeepAlive Kind = "keep-alive POST" // one connection, a POST at a time
	Idle      Kind = "idle POST"       // one connection, pauses between POSTs
	New       Kind = "new connection"  // a connection for each GET
	Slow      Kind = "slow GET"        // an answer that takes long
	Bytewise  Kind = "byte-wise POST"  // one connection, a request written byte by byte
)

// Options says whom to load, and by how many clients of each kind.
type Options struct {
	Addr string // host:port

	Path     string // of GETs on new connections; default "/"
	PostPath string // of POSTs; default Path
	SlowPath string // of slow GETs; default Path

	KeepAlive, Idle, New, Slow, Bytewise int

	Pause     time.Duration // between two requests of a client; default 1 ms
	IdlePause time.Duration // of idle ones; default 200 ms
	Timeout   time.Duration // of one request; default 30 s

	// OnAnswer is told of every request, from its client's goroutine. May be nil.
	OnAnswer func(Answer)
}

// Answer is the fate of one request.
type Answer struct {
	Kind   Kind
	Header http.Header // of the answer; nil if there was none
	Sent   time.Time
	Took   time.Duration
	Err    error // nil only for a complete answer with a status below 400

	Dialed time.Time   // when the connection was opened
	Before http.Header // of the previous answer on the same connection; nil if this was its first request
}

// Report counts requests and failures.
type Report struct {
	Requests map[Kind]int
	Failures map[Kind]map[string]int // by what the client saw
}

// Total adds up all kinds.
func (r Report) Total() (requests, failures int) {
	for _, n := range r.Requests {
		requests += n
	}
	for _, kinds := range r.Failures {
		for _, n := range kinds {
			failures += n
		}
	}
	return requests, failures
}

// Load is a running load.
type Load struct {
	o    Options
	quit chan struct{}
	wg   sync.WaitGroup

	mu     sync.Mutex
	report Report
}

// Start begins to send requests.
func Start(o Options) *Load {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.Pause, time.Millisecond)
	def(&o.IdlePause, 200*time.Millisecond)
	def(&o.Timeout, 30*time.Second)
	if o.Path == "" {
		o.Path = "/"
	}
	for _, p := range []*string{&o.PostPath, &o.SlowPath} {
		if *p == "" {
			*p = o.Path
		}
	}
	l := &Load{o: o, quit: make(chan struct{}), report: Report{map[Kind]int{}, map[Kind]map[string]int{}}}
	for kind, n := range map[Kind]int{KeepAlive: o.KeepAlive, Idle: o.Idle, New: o.New, Slow: o.Slow, Bytewise: o.Bytewise} {
		for i := range n {
			l.wg.Go(func() { l.run(client{l: l, kind: kind, body: fmt.Sprintf("%s %d", kind, i)}) })
		}
	}
	return l
}

// Stop lets every client finish its request and returns the sum.
func (l *Load) Stop() Report {
	close(l.quit)
	l.wg.Wait()
	return l.report
}

// Requests returns how many have been answered or lost by now.
func (l *Load) Requests() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, _ := l.report.Total()
	return n
}

func (l *Load) run(c client) {
	defer c.hangUp()
	pause := l.o.Pause
	if c.kind == Idle {
		pause = l.o.IdlePause
	}
	for {
		select {
		case <-l.quit:
			return
		default:
		}
		a := c.request()
		l.count(a)
		if l.o.OnAnswer != nil {
			l.o.OnAnswer(a)
		}
		select {
		case <-l.quit:
			return
		case <-time.After(pause):
		}
	}
}

func (l *Load) count(a Answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report.Requests[a.Kind]++
	if a.Err != nil {
		if l.report.Failures[a.Kind] == nil {
			l.report.Failures[a.Kind] = map[string]int{}
		}
		l.report.Failures[a.Kind][Name(a.Err)]++
	}
}

// client is one of the population.
type client struct {
	l    *Load
	kind Kind
	body string

	conn   net.Conn
	br     *bufio.Reader
	dialed time.Time
	before http.Header
}

func (c *client) hangUp() {
	if c.conn != nil {
		c.conn.Close()
	}
	c.conn, c.before = nil, nil
}

// request sends one request, dialing if there is no connection, and reads its whole answer.
func (c *client) request() (a Answer) {
	a = Answer{Kind: c.kind, Sent: time.Now()}
	defer func() {
		a.Took = time.Since(a.Sent)
		if a.Err != nil {
			c.hangUp()
		}
	}()
	if c.conn == nil {
		conn, err := net.DialTimeout("tcp", c.l.o.Addr, c.l.o.Timeout)
		if err != nil {
			a.Err = err
			return a
		}
		c.conn, c.br, c.dialed = conn, bufio.NewReader(conn), time.Now()
	}
	a.Dialed, a.Before = c.dialed, c.before
	c.conn.SetDeadline(time.Now().Add(c.l.o.Timeout))
	if a.Err = c.write(); a.Err != nil {
		return a
	}
	res, err := http.ReadResponse(c.br, &http.Request{Method: c.method()})
	if err != nil {
		a.Err = err
		return a
	}
	a.Header = res.Header
	if _, a.Err = io.Copy(io.Discard, res.Body); a.Err != nil {
		return a
	}
	if res.StatusCode >= 400 {
		a.Err = fmt.Errorf("status %d", res.StatusCode)
		return a
	}
	c.before = res.Header
	if res.Close || c.kind == New {
		c.hangUp()
	}
	return a
}

func (c *client) method() string {
	if c.kind == New || c.kind == Slow {
		return http.MethodGet
	}
	return http.MethodPost
}

func (c *client) write() error {
	var text string
	switch c.kind {
	case New:
		text = "GET " + c.l.o.Path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	case Slow:
		text = "GET " + c.l.o.SlowPath + " HTTP/1.1\r\nHost: localhost\r\n\r\n"
	default:
		text = fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", c.l.o.PostPath, len(c.body), c.body)
	}
	if c.kind != Bytewise {
		_, err := io.WriteString(c.conn, text)
		return err
	}
	for i := range len(text) {
		if _, err := c.conn.Write([]byte{text[i]}); err != nil {
			return err
		}
	}
	return nil
}

// Name gives a failure the name under which it is counted.
func Name(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "truncated or no answer"
	case errors.Is(err, io.EOF):
		return "no answer"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	}
	return err.Error()
}
