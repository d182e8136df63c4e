package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
)

// exchange is the client's side of one request.
type exchange struct {
	http.ResponseWriter
	upload   upload
	draining <-chan struct{} // of a WebSocket
}

// Hijack gives a WebSocket a way to say goodbye.
func (x *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(x.ResponseWriter).Hijack()
	if err == nil && x.draining != nil {
		c = newTunnel(c, x.draining)
	}
	return c, rw, err
}

func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// upload is the body of a request, and remembers when the client broke it off: that is not the upstream's fault.
type upload struct {
	io.ReadCloser
	broken atomic.Value // error
}

func (u *upload) Read(b []byte) (int, error) {
	n, err := u.ReadCloser.Read(b)
	if err != nil && err != io.EOF {
		u.broken.CompareAndSwap(nil, brokenUpload{err})
	}
	return n, err
}

type brokenUpload struct{ error }

// statusClientGone is for the log: nobody reads it. The number is nginx's.
const statusClientGone = 499

// fail answers a request that was not passed on, or not answered.
func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, prefix string, err error) {
	if x, ok := w.(*exchange); ok {
		if b, ok := x.upload.broken.Load().(brokenUpload); ok {
			if errors.As(b.error, new(*http.MaxBytesError)) {
				http.Error(w, "413 Request Entity Too Large", http.StatusRequestEntityTooLarge)
			} else {
				w.WriteHeader(statusClientGone)
			}
			return
		}
	}
	if errors.Is(r.Context().Err(), context.Canceled) {
		w.WriteHeader(statusClientGone)
		return
	}
	code, said := http.StatusBadGateway, "502 Bad Gateway: the server behind this one broke off, or sent no proper answer"
	var timeout net.Error
	switch {
	case errors.Is(err, errNone):
		code, said = http.StatusServiceUnavailable, "503 Service Unavailable: no server behind this one is well at the moment"
		w.Header().Set("Retry-After", "1")
	case errors.As(err, &timeout) && timeout.Timeout():
		code, said = http.StatusGatewayTimeout, "504 Gateway Timeout: the server behind this one did not answer in time"
	case errors.As(err, new(dialError)):
		said = "502 Bad Gateway: the server behind this one could not be reached"
	}
	p.o.Logger.Warn("request not passed on", "route", prefix, "status", code, "err", err)
	http.Error(w, said, code)
}
