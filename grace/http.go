package grace

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
)

// Serve serves HTTP on a listener of this Process, or on one that wraps it, until the process has drained; then it returns nil. Before
// it starts, it wraps srv.Handler, srv.ConnState and srv.ConnContext: once this process is on its way out, every answer on
// HTTP/1 says Connection: close, and HTTP/2 gets a GOAWAY in two steps. http.Server.Shutdown is never called: since
// Go's fix of issue 65802 it drops requests that it has already read.
func (p *Process) Serve(srv *http.Server, ln net.Listener) error {
	return p.serve(srv, ln, false, func() error {
		if srv.Protocols != nil && srv.Protocols.UnencryptedHTTP2() {
			if err := srv.Serve(closedListener{}); !errors.Is(err, net.ErrClosed) { // as in ServeTLS
				return err
			}
			p.prepare(srv).http2.Do(func() { p.takeOverHTTP2(srv) })
		}
		return srv.Serve(ln)
	})
}

// ServeTLS is Serve for HTTPS, with the arguments of http.Server.ServeTLS: empty file names when srv.TLSConfig
// has the certificates. Sessions resume in later generations: the keys of session tickets are passed on and changed every
// 24 hours, unless srv.TLSConfig looks after tickets by itself (SetSessionTicketKeys, SessionTicketsDisabled, WrapSession).
func (p *Process) ServeTLS(srv *http.Server, ln net.Listener, certFile, keyFile string) error {
	return p.serve(srv, ln, true, func() error {
		// A first call on a listener that is closed sets HTTP/2 up, and does nothing else.
		if err := srv.ServeTLS(closedListener{}, certFile, keyFile); !errors.Is(err, net.ErrClosed) {
			return err
		}
		p.prepare(srv).http2.Do(func() { p.takeOverHTTP2(srv) })
		cfg, err := tlsConfig(srv, certFile, keyFile)
		if err != nil {
			return err
		}
		defer p.SessionTickets(cfg)()
		return srv.Serve(tls.NewListener(ln, cfg))
	})
}

func (p *Process) serve(srv *http.Server, ln net.Listener, secure bool, run func() error) error {
	g := p.gateBelow(ln)
	if g == nil {
		return fmt.Errorf("serve on %s: not a listener of this Process, so no successor could have it: open it with Listen or Open", ln.Addr())
	}
	p.prepare(srv)
	if ln != net.Listener(g) {
		g.hidden.Store(true)
	}
	g.web.Store(&webService{path: p.o.HealthPath, secure: secure})
	err := run()
	if errors.Is(err, net.ErrClosed) {
		<-p.exited
		return p.failure
	}
	return err
}

// gateBelow finds the gate that ln is, or that the application has wrapped: a wrapper's address is the gate's, the same pointer.
func (p *Process) gateBelow(ln net.Listener) *gate {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range p.gates {
		if ln.Addr() == g.Addr() {
			return g
		}
	}
	return nil
}

type closedListener struct{}

func (closedListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (closedListener) Close() error              { return nil }
func (closedListener) Addr() net.Addr            { return &net.TCPAddr{} }

// prepare makes srv drain politely, once: it may serve on several listeners.
func (p *Process) prepare(srv *http.Server) *politeHandler {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := srv.Handler
	if h, done := next.(*politeHandler); done {
		return h
	}
	if next == nil {
		next = http.DefaultServeMux
	}
	polite := &politeHandler{p: p, next: next}
	srv.Handler = polite
	inner := srv.ConnContext
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		ctx = context.WithValue(ctx, trackedKey{}, trackedOf(c))
		if inner != nil {
			ctx = inner(ctx, c)
		}
		return ctx
	}
	hook := srv.ConnState
	srv.ConnState = func(c net.Conn, s http.ConnState) {
		t := trackedOf(c)
		if t == nil && s != http.StateNew {
			t = p.conns.below(c)
		}
		if t != nil {
			switch s {
			case http.StateNew:
				if bare(c) != nil {
					t.moves.watch()
				}
				t.enter(phaseNew)
			case http.StateActive:
				t.enter(phaseActive)
			case http.StateIdle:
				t.enter(phaseIdle)
			case http.StateHijacked:
				p.tookOver(t, c)
			}
		}
		if hook != nil {
			hook(c, s)
		}
	}
	return polite
}

// trackedKey finds the connection of a request.
type trackedKey struct{}

// trackedBy returns the connection of a request, or nil.
func trackedBy(r *http.Request) *tracked {
	t, _ := r.Context().Value(trackedKey{}).(*tracked)
	return t
}

// politeHandler marks the last answer on each connection of a process on its way out.
type politeHandler struct {
	p     *Process
	next  http.Handler
	http2 sync.Once // takes HTTP/2 over
}

func (h *politeHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t := trackedBy(r)
	if h.p.guarded(t) {
		if !h.admit(w, r) {
			return
		}
		defer h.p.dismissed(t)
	}
	if r.ProtoMajor != 1 {
		// Without frames of our own (behind a listener that hides our connections), setting the header makes net/http send its one GOAWAY.
		if h.p.polite.Load() && (t == nil || t.http2.Load() == nil) {
			w.Header().Set("Connection", "close")
		}
		h.next.ServeHTTP(w, r)
		return
	}
	var pw *politeWriter
	if t != nil {
		pw = &t.last
	} else {
		pw = new(politeWriter)
	}
	*pw = politeWriter{ResponseWriter: w, p: h.p, t: t}
	h.next.ServeHTTP(pw, r)
	pw.mark() // a handler that wrote nothing
}

// politeWriter decides as late as it can, when the header goes out: an answer that took long to make must not
// promise to keep a connection whose process has been replaced meanwhile. A connection that can move stays open, and goes
// when it is idle.
type politeWriter struct {
	http.ResponseWriter
	p      *Process
	t      *tracked // nil if the server has hidden it from us
	marked bool
}

func (w *politeWriter) mark() {
	if !w.marked {
		w.marked = true
		if w.p.polite.Load() && !w.p.moving(w.t) {
			w.Header().Set("Connection", "close")
		}
	}
}

func (w *politeWriter) WriteHeader(code int) {
	switch {
	case code == http.StatusSwitchingProtocols:
		w.marked = true // there the header names the protocol to switch to
	case code >= 200:
		w.mark()
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *politeWriter) Write(b []byte) (int, error) {
	w.mark()
	return w.ResponseWriter.Write(b)
}

func (w *politeWriter) WriteString(s string) (int, error) {
	w.mark()
	return io.WriteString(w.ResponseWriter, s)
}

// ReadFrom keeps sendfile.
func (w *politeWriter) ReadFrom(r io.Reader) (int64, error) {
	w.mark()
	return io.Copy(w.ResponseWriter, r)
}

func (w *politeWriter) Flush() { w.FlushError() }

// FlushError is what http.ResponseController looks for: without it nobody would learn that the client is gone.
func (w *politeWriter) FlushError() error {
	w.mark()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *politeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.marked = true
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// CloseNotify is for programs of the time before request contexts.
func (w *politeWriter) CloseNotify() <-chan bool {
	//lint:ignore SA1019 frameworks still assert it
	return w.ResponseWriter.(http.CloseNotifier).CloseNotify()
}

// Unwrap lets http.ResponseController reach the rest.
func (w *politeWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
