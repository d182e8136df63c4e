package gracetest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"
)

// client is one of the population. It never looks whether the server has closed a connection before it sends a request
// on it: what is lost by that, a client in a distance would have lost.
type client struct {
	l    *Load
	kind Kind
	body string

	conn            net.Conn
	br              *bufio.Reader
	dialing, dialed time.Time
	before          http.Header
}

// turn sends what a client of this kind sends between two pauses.
func (c *client) turn() {
	if c.kind == Pipelined {
		c.pipeline()
		return
	}
	a := c.begin()
	if a.Err == nil {
		c.linger(&a)
		a.Err = c.write(c.text())
	}
	c.finish(&a)
	if c.kind == Distant {
		time.Sleep(distance) // the answer's way
		a.Took = time.Since(a.Sent)
	}
	c.l.count(a)
}

// linger is what lies between the decision to send and the first byte.
func (c *client) linger(a *Answer) {
	switch c.kind {
	case Distant:
		time.Sleep(distance) // on its way
		if a.Before == nil {
			time.Sleep(2 * distance) // the handshake's way there and back
		}
	case Late:
		c.l.sleep(c.l.o.LatePause)
		a.Sent = time.Now()
		c.conn.SetDeadline(a.Sent.Add(c.l.o.Timeout))
	}
}

// pipeline sends four requests, the last one in two parts that lie a pause apart. The end of the first part may lie
// anywhere in the first seven bytes: "POST / ", which no server can have taken for a request.
func (c *client) pipeline() {
	const whole = 3
	text := c.text()
	cut := 1 + rand.N(7)
	a := c.begin()
	if a.Err == nil {
		a.Err = c.write(strings.Repeat(text, whole) + text[:cut])
	}
	if a.Local == nil { // no connection: one failure, not four
		c.finish(&a)
		c.l.count(a)
		return
	}
	leave := false
	for range whole {
		if leave && a.Err == nil {
			a.Err = errBehindClose
		}
		leave = c.finish(&a) || leave
		c.l.count(a)
		a = Answer{Kind: c.kind, Sent: a.Sent, dialing: a.dialing, Dialed: a.Dialed, Local: a.Local, Before: c.before, Err: a.Err}
	}
	if leave || a.Err != nil {
		return // its rest was never sent
	}
	c.l.sleep(c.l.o.Pause)
	a.Sent = time.Now()
	c.conn.SetDeadline(a.Sent.Add(c.l.o.Timeout))
	a.Err = c.write(text[cut:])
	c.finish(&a)
	c.l.count(a)
}

// begin dials if there is no connection.
func (c *client) begin() Answer {
	a := Answer{Kind: c.kind, Sent: time.Now()}
	if c.conn == nil {
		c.dialing = time.Now()
		conn, err := net.DialTimeout("tcp", c.l.o.Addr, c.l.o.Timeout)
		if err != nil {
			a.Err = err
			return a
		}
		c.conn, c.dialed = conn, time.Now()
		if c.l.o.TLS != nil {
			c.conn = tls.Client(conn, c.l.o.TLS)
		}
	}
	a.dialing, a.Dialed, a.Local, a.Before = c.dialing, c.dialed, c.conn.LocalAddr(), c.before
	c.conn.SetDeadline(time.Now().Add(c.l.o.Timeout))
	return a
}

// finish reads the answer, unless the request has failed already. It reports whether the connection has ended.
func (c *client) finish(a *Answer) (ended bool) {
	last := false
	if a.Err == nil {
		last, a.Err = c.read(a)
	}
	a.Took = time.Since(a.Sent)
	if a.Err != nil || last {
		c.hangUp()
		return true
	}
	c.before = a.Header
	return false
}

// read returns whether the answer was the last on its connection.
func (c *client) read(a *Answer) (last bool, err error) {
	if c.br == nil {
		c.br = bufio.NewReaderSize(c.conn, 1024)
	}
	res, err := http.ReadResponse(c.br, &http.Request{Method: c.method()})
	if err != nil {
		return true, err
	}
	a.Header = res.Header
	var body io.Writer = io.Discard
	check := &streamCheck{}
	if c.kind == Streaming {
		body = check
	}
	if _, err := io.Copy(body, res.Body); err != nil {
		return true, err
	}
	if res.StatusCode >= 400 {
		return true, fmt.Errorf("status %d", res.StatusCode)
	}
	if c.kind == Streaming && check.n != streamSize {
		return true, fmt.Errorf("stream of %d bytes, want %d", check.n, streamSize)
	}
	return res.Close || c.kind == New || c.kind == Late, nil
}

func (c *client) hangUp() {
	if c.conn != nil {
		c.conn.Close()
	}
	c.conn, c.br, c.before = nil, nil, nil
}

func (c *client) method() string {
	switch c.kind {
	case New, Slow, Streaming:
		return http.MethodGet
	}
	return http.MethodPost
}

// text is one request.
func (c *client) text() string {
	o := &c.l.o
	switch c.kind {
	case New:
		return "GET " + o.Path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	case Slow:
		return "GET " + o.SlowPath + " HTTP/1.1\r\nHost: localhost\r\n\r\n"
	case Streaming:
		return "GET " + o.StreamPath + " HTTP/1.1\r\nHost: localhost\r\n\r\n"
	}
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", o.PostPath, len(c.body), c.body)
}

func (c *client) write(text string) error {
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
