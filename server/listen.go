package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/moult-go/moult/grace"
)

// DefaultListen is where a Service listens that names nothing.
const DefaultListen = "localhost:8080"

// A Listener is one address of a Service, where more is to be said of it than Service.Listen can. Only Address is needed.
type Listener struct {
	// Address is "host:port", or "unix:/path" for a Unix socket. "https://host:port" and "http://host:port" say whether it
	// speaks TLS; otherwise a port does if the Service has a certificate, and a Unix socket does not.
	Address string
	// Name identifies the socket to successors, together with Address, and to a service manager (FileDescriptorName=). Default: none.
	Name string
	// Mode is the permission of a Unix socket's file; 0 leaves it to the umask.
	Mode fs.FileMode
	// TLS replaces that of the Service here. Default: the Service's.
	TLS *TLS
	// H2C speaks HTTP/2 without TLS too, with clients that begin so (prior knowledge), where there is no TLS. Default: as the Service does.
	H2C bool
	// Handler replaces that of the Service here. Service.Start has returned before it is asked.
	Handler http.Handler
	// Serve replaces HTTP by a protocol of the program's own: it accepts until Accept fails with net.ErrClosed, which is when this process
	// has drained, and serves what it accepts; with TLS, those are *tls.Conn. Until then every connection counts, and has the
	// drain deadline to end. Draining(ctx) tells when its client should move on. ctx ends with the process. To return
	// before the drain has begun is a failure, and ends the Service.
	Serve func(ctx context.Context, ln net.Listener) error
}

// listeners are all addresses of s: those of Listen first.
func (s Service) listeners() []Listener {
	var list []Listener
	for _, address := range s.Listen {
		list = append(list, Listener{Address: address})
	}
	return append(list, s.Listeners...)
}

// checkListeners says what is wrong with the addresses of s.
func (s Service) checkListeners() error {
	var seen []string
	for _, l := range append(s.listeners(), s.opsListeners()...) {
		socket, scheme, err := l.socket()
		if err != nil {
			return err
		}
		if l.Handler != nil && l.Serve != nil {
			return fmt.Errorf("listener %s: it has both a Handler and Serve", l.Address)
		}
		t, secure := s.tlsOf(l)
		if scheme == "https" && !secure {
			return fmt.Errorf("listener %s: no certificate for it", l.Address)
		}
		if err := t.check(); err != nil {
			return fmt.Errorf("listener %s: %w", l.Address, err)
		}
		if key := socket.Network + " " + socket.Address + " " + socket.Name; !strings.HasSuffix(socket.Address, ":0") {
			if slices.Contains(seen, key) {
				return fmt.Errorf("listener %s: it is there twice", l.Address)
			}
			seen = append(seen, key)
		}
	}
	return nil
}

// needsHandler reports whether some listener leaves it to the Service what to answer.
func (s Service) needsHandler() bool {
	return slices.ContainsFunc(s.listeners(), func(l Listener) bool { return l.Handler == nil && l.Serve == nil })
}

// socket reads Address.
func (l Listener) socket() (s grace.Socket, scheme string, err error) {
	address := l.Address
	for _, known := range []string{"http", "https"} {
		if rest, ok := strings.CutPrefix(address, known+"://"); ok {
			scheme, address = known, rest
		}
	}
	if s, err = socketOf(address); err != nil {
		return s, "", err
	}
	s.Name, s.Mode = l.Name, l.Mode
	return s, scheme, nil
}

// socketOf reads an address without a scheme.
func socketOf(address string) (grace.Socket, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if path == "" {
			return grace.Socket{}, fmt.Errorf("listen address %q: no path", address)
		}
		return grace.Socket{Network: "unix", Address: path}, nil
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return grace.Socket{}, fmt.Errorf("listen address %q: want host:port or unix:/path", address)
	}
	return grace.Socket{Network: "tcp", Address: address}, nil
}

// tlsOf is the TLS that a listener speaks, if it does.
func (s Service) tlsOf(l Listener) (t TLS, secure bool) {
	socket, scheme, _ := l.socket()
	switch {
	case scheme == "http":
		return TLS{}, false
	case l.TLS != nil:
		return *l.TLS, l.TLS.on()
	case scheme == "https" || socket.Network != "unix":
		return s.TLS, s.TLS.on()
	}
	return TLS{}, false
}

// open opens a listener of the service.
func (r *runner) open(l Listener) (net.Listener, error) {
	socket, _, err := l.socket()
	if err != nil {
		return nil, err
	}
	ln, err := r.p.Open(socket)
	if err != nil {
		return nil, err
	}
	r.listening = append(r.listening, ln)
	r.log.Info("listening", "generation", r.p.Generation(), "address", ln.Addr().String())
	return ln, nil
}

// answer returns what serves on ln until this process has drained. h is the Service's handler.
func (r *runner) answer(ctx context.Context, l Listener, ln net.Listener, h http.Handler) (func() error, error) {
	secure, err := r.secure(l)
	if err != nil {
		return nil, fmt.Errorf("listener %s: %w", l.Address, err)
	}
	if l.Serve != nil {
		return func() error { return r.loop(ctx, l, ln, secure) }, nil
	}
	if l.Handler != nil {
		h = l.Handler
	}
	srv := r.httpServer(ctx, r.withHealth(r.withPage(h)))
	srv.ConnState = r.room.enter
	srv.Protocols.SetUnencryptedHTTP2(l.H2C || r.s.H2C)
	if secure == nil {
		return func() error { return r.p.Serve(srv, ln) }, nil
	}
	srv.TLSConfig = secure
	return func() error { return r.p.ServeTLS(srv, ln, "", "") }, nil
}

// secure returns the config of a listener that speaks TLS, else nil. Listeners with the same files share them.
func (r *runner) secure(l Listener) (*tls.Config, error) {
	t, secure := r.s.tlsOf(l)
	if !secure {
		return nil, nil
	}
	key := tlsKey{t, l.Serve == nil}
	c := r.certs[key]
	if c == nil {
		var err error
		if c, err = openTLS(t, key.web, r.log); err != nil {
			return nil, fmt.Errorf("%w: %w", errFiles, err)
		}
		r.certs[key] = c
	}
	return c.config(), nil
}

// errFiles says that TLS cannot be spoken for what its files are.
var errFiles = errors.New("TLS")

// tlsKey tells apart what listeners have of TLS.
type tlsKey struct {
	t   TLS
	web bool
}

// loop runs a protocol of the program's own.
func (r *runner) loop(ctx context.Context, l Listener, ln net.Listener, secure *tls.Config) error {
	if secure != nil {
		defer r.p.SessionTickets(secure)()
		ln = tls.NewListener(ln, secure)
	}
	err := l.Serve(ctx, ln)
	select {
	case <-r.p.Draining():
		return nil // what ends then was told to
	default:
	}
	if err == nil {
		err = errors.New("it returned, and nobody accepts any more")
	}
	return fmt.Errorf("listener %s: %w", l.Address, err)
}
