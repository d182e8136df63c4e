package proxy

import (
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

func isEventStream(res *http.Response) bool {
	return strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") && res.Header.Get("Content-Encoding") == ""
}

// events is the body of an event stream, which ends between two events when clients are to move on: a browser comes back by itself, and says
// which event was its last.
type events struct {
	io.ReadCloser
	once sync.Once
	done chan struct{}

	mu      sync.Mutex
	place   place
	leaving bool
}

func newEvents(body io.ReadCloser, draining <-chan struct{}) *events {
	e := &events{ReadCloser: body, done: make(chan struct{}), place: place{empty: true, between: true}}
	go e.leave(draining)
	return e
}

// leave ends the stream when the time has come. It ends with the stream.
func (e *events) leave(draining <-chan struct{}) {
	select {
	case <-draining:
	case <-e.done:
		return
	}
	select {
	case <-time.After(rand.N(farewell)):
	case <-e.done:
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.leaving = true; e.place.between {
		e.ReadCloser.Close() // wakes a Read that waits for the next event
	}
}

func (e *events) Read(b []byte) (int, error) {
	n, err := e.ReadCloser.Read(b)
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.leaving {
		e.place.follow(b[:n])
		return n, err
	}
	if e.place.between {
		return 0, io.EOF
	}
	for i := range n {
		e.place.follow(b[i : i+1])
		if e.place.between {
			return i + 1, io.EOF
		}
	}
	return n, err
}

func (e *events) Close() error {
	e.once.Do(func() { close(e.done) })
	return e.ReadCloser.Close()
}

// place is where in a stream of events one is: they end with an empty line, and lines end with CR, LF or both.
type place struct {
	empty   bool // nothing on this line yet
	cr      bool // the last byte was CR: an LF belongs to it
	between bool // the last line was empty
}

func (p *place) follow(b []byte) {
	for _, c := range b {
		switch {
		case c == '\n' && p.cr:
			p.cr = false
		case c == '\n' || c == '\r':
			p.between = p.empty
			p.empty, p.cr = true, c == '\r'
		default:
			p.empty, p.cr, p.between = false, false, false
		}
	}
}
