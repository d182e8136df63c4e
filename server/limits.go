package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

// Defaults of Limits.
const (
	DefaultHeaderTimeout = 30 * time.Second
	DefaultHeaderBytes   = 64 << 10
	DefaultBodyTimeout   = time.Minute
)

// Limits bounds what clients may take of a Service. They hold for HTTP; a protocol of the program's own has its own.
//
// Three kinds of limit are off, since no value is right for all, and a wrong one loses requests: how long a request may take as a whole (an upload
// over a slow line), how long an answer may take (a download, a stream of events), and how long a connection may be idle. A server that closes an
// idle connection does so at the moment at which a client may be sending its next request on it, and whether that may be repeated the client
// does not know: with a POST, most do not dare. So idle connections are closed for want of room only (Connections); the
// kernel finds the clients that are gone (keep-alive probes of TCP, every 15 s); and what a handover does with them, package grace says.
// A handler bounds its own body and time by http.MaxBytesHandler, http.TimeoutHandler and http.ResponseController.
type Limits struct {
	// HeaderTimeout bounds a TLS handshake, and the header of a request from its first byte; of the first on a connection, from the connection's
	// begin. Long enough for a mobile client that changes cells, short enough to have no use for those who send a byte now and then to hold
	// connections (slowloris). Default 30 s.
	HeaderTimeout time.Duration
	// HeaderBytes bounds the header of a request. Cookies and tokens of single sign-on have met 32 KiB; net/http's own megabyte would be
	// what each connection can make this process hold. Default 64 KiB.
	HeaderBytes int
	// BodyTimeout bounds each wait for more of a request's body, over HTTP/1. An upload may be as long as it likes, but not stand still: a client that
	// sends a header, and then nothing, would hold a connection and a handler for ever. Default 1 minute; negative: none, for handlers
	// that converse with their clients over HTTP/1.
	BodyTimeout time.Duration
	// RequestTimeout bounds a request, its body included. Default 0: none.
	RequestTimeout time.Duration
	// AnswerTimeout bounds an answer from the end of the request's header to its last byte; streams and downloads end with it. Default 0: none.
	AnswerTimeout time.Duration
	// IdleTimeout bounds the time between two requests. A load balancer in front should have a shorter one. Default 0: none.
	IdleTimeout time.Duration
	// Connections is how many there may be, all listeners together, before the one that has been silent longest, with no request under
	// way, is closed for each new one. If there is none, more are taken. Default: three quarters of the descriptors that this process may have; negative: no limit.
	Connections int
}

// filled fills in the defaults.
func (l Limits) filled() (Limits, error) {
	for _, d := range []time.Duration{l.HeaderTimeout, l.RequestTimeout, l.AnswerTimeout, l.IdleTimeout} {
		if d < 0 {
			return l, fmt.Errorf("limits: a time of %s", d)
		}
	}
	if l.HeaderBytes < 0 {
		return l, fmt.Errorf("limits: %d bytes of header", l.HeaderBytes)
	}
	if l.HeaderTimeout == 0 {
		l.HeaderTimeout = DefaultHeaderTimeout
	}
	if l.HeaderBytes == 0 {
		l.HeaderBytes = DefaultHeaderBytes
	}
	if l.BodyTimeout == 0 {
		l.BodyTimeout = DefaultBodyTimeout
	}
	return l, nil
}

// httpServer is what every listener of HTTP has in common. What a request's context comes from outlives ctx: a request that is
// under way when the program is told to end is answered.
func (r *runner) httpServer(ctx context.Context, h http.Handler) *http.Server {
	l := r.s.Limits
	if l.BodyTimeout > 0 {
		h = steady(h, l.BodyTimeout, l.RequestTimeout)
	}
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: l.HeaderTimeout,
		MaxHeaderBytes:    l.HeaderBytes,
		ReadTimeout:       l.RequestTimeout,
		WriteTimeout:      l.AnswerTimeout,
		IdleTimeout:       l.IdleTimeout,
		Protocols:         new(http.Protocols),
		ErrorLog:          slog.NewLogLogger(quieter{r.log.Handler()}, slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	if l.IdleTimeout == 0 {
		srv.IdleTimeout = -1 // with 0, net/http takes ReadTimeout for it
	}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	return srv
}

// quieter makes less of what any stranger can make net/http say, such as the failure of a handshake.
type quieter struct{ slog.Handler }

func (q quieter) Handle(ctx context.Context, rec slog.Record) error {
	if strings.HasPrefix(rec.Message, "http: TLS handshake error") {
		if rec.Level = slog.LevelDebug; !q.Enabled(ctx, rec.Level) {
			return nil
		}
	}
	return q.Handler.Handle(ctx, rec)
}
