package gracetest

import (
	"errors"
	"os"
	"time"
)

// openSilent opens the silent connections one after the other. Between their two requests they cost neither a goroutine nor
// a buffer, so there may be thousands.
func (l *Load) openSilent() {
	for i := range l.o.Silent {
		c := newClient(l, Silent, i)
		if err := c.settle(); errors.Is(err, os.ErrDeadlineExceeded) {
			return // nobody answers: do not wait for each of them
		}
		if c.conn != nil {
			l.silent = append(l.silent, c)
		}
	}
}

// settle opens a connection that the server does not mean to close: one that is on its way out may say so.
func (c *client) settle() error {
	for range 10 {
		a := c.begin()
		if a.Err == nil {
			a.Err = c.write(c.text())
		}
		c.finish(&a)
		c.l.count(a)
		if a.Err != nil {
			return a.Err
		}
		if c.conn != nil {
			break
		}
	}
	c.br = nil // it is empty, and would lie there unused
	return nil
}

// askSilent sends one more request on each silent connection: all are written before the first answer is read, so that a
// server that does not answer costs one timeout.
func (l *Load) askSilent() {
	answers := make([]Answer, len(l.silent))
	for i, c := range l.silent {
		a := c.begin()
		a.Err = c.write(c.text())
		answers[i] = a
	}
	end := time.Now().Add(l.o.Timeout)
	for i, c := range l.silent {
		a := &answers[i]
		c.conn.SetDeadline(end)
		c.finish(a)
		c.hangUp()
		if a.Err != nil && closed(a.Err) && !l.o.excuse(*a) {
			l.report.Closed++ // nobody else counts any more
			l.o.OnAnswer(*a)
			continue
		}
		l.count(*a)
	}
	l.silent = nil
}
