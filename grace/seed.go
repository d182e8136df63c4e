package grace

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// Defaults that NewServer copies into every server, as in beego's grace module. Zero means no limit, or net/http's.
var (
	DefaultReadTimeOut    time.Duration // of http.Server.ReadTimeout
	DefaultWriteTimeOut   time.Duration // of http.Server.WriteTimeout
	DefaultMaxHeaderBytes int           // of http.Server.MaxHeaderBytes, in bytes
)

// ServerOption configures a Server in NewServer.
type ServerOption func(*Server)

// WithShutdownCallback has f called once, before the server drains: at a stop while it still serves, after a handover at
// once. It may be given several times. The drain waits for f as long as a hook (see [Server.RegisterSignalHook]).
func WithShutdownCallback(shutdownCallback func()) ServerOption {
	return func(srv *Server) {
		if shutdownCallback != nil {
			srv.callbacks = append(srv.callbacks, shutdownCallback)
		}
	}
}

// Server is an http.Server in a process that can be replaced, with the surface of beego's grace module: a program changes
// its import and nothing else (docs/howto/from-beego.md). All servers of a program share one [Process], which begins when the first one listens;
// set [DefaultTimeout] before. New programs do as well with [ListenAndServe], or with a Process of their own.
//
// Serving methods return nil when this process has been replaced or stopped and has drained, and when Shutdown or Close was called on the server.
type Server struct {
	*http.Server
	// SignalHooks are the hooks by position (PreSignal, PostSignal) and signal. Once the server serves, only RegisterSignalHook may change them.
	SignalHooks map[int]map[os.Signal][]func()
	Network     string // as in [Socket]; default "tcp"

	ln        net.Listener // what Serve serves on
	callbacks []func()     // until they have been called
}

// NewServer returns a server for addr: "host:port", or the path of a socket if Network is set to "unix". It registers
// nothing and opens nothing.
func NewServer(addr string, handler http.Handler, opts ...ServerOption) *Server {
	srv := &Server{
		Server: &http.Server{
			Addr:           addr,
			Handler:        handler,
			ReadTimeout:    DefaultReadTimeOut,
			WriteTimeout:   DefaultWriteTimeOut,
			MaxHeaderBytes: DefaultMaxHeaderBytes,
		},
		SignalHooks: map[int]map[os.Signal][]func(){PreSignal: {}, PostSignal: {}},
		Network:     "tcp",
	}
	for _, o := range opts {
		o(srv)
	}
	return srv
}

// Listen opens the address for Serve and ServeWithListener. It is not in beego's module, whose users called net.Listen: a
// listener made there is nothing that a successor could ask for.
func (srv *Server) Listen() (net.Listener, error) {
	ln, err := srv.open(":http")
	if err != nil {
		return nil, err
	}
	srv.ln = ln
	return ln, nil
}

// open asks the drop-in Process for the server's address, or the default one.
func (srv *Server) open(address string) (*gate, error) {
	d, err := dropIn()
	if err != nil {
		return nil, err
	}
	network := cmp.Or(srv.Network, "tcp")
	if srv.Addr != "" || strings.HasPrefix(network, "unix") {
		address = srv.Addr
	}
	ln, err := d.Listen(network, address)
	if err != nil {
		return nil, err
	}
	return ln.(*gate), nil
}

// ListenAndServe serves HTTP on the server's address; if that is empty, on ":http".
func (srv *Server) ListenAndServe() error {
	if _, err := srv.Listen(); err != nil {
		return err
	}
	return srv.Serve()
}

// Serve serves on what Listen, ListenTLS or ListenMutualTLS has opened; if none was called, it is ListenAndServe.
func (srv *Server) Serve() error {
	if srv.ln == nil {
		return srv.ListenAndServe()
	}
	return srv.ServeWithListener(srv.ln)
}

// ServeWithListener serves on a listener of Listen, ListenTLS or ListenMutualTLS, of a [Process], or on one that wraps it. Any
// other is refused here and now, since every hot restart of this program would fail: the successor could not bind its
// address a second time.
func (srv *Server) ServeWithListener(ln net.Listener) error {
	srv.ln = ln
	if t, ok := ln.(*tlsListener); ok {
		return srv.serve(t.gate, t.serve)
	}
	return srv.serve(ln, (*Process).Serve)
}

func (srv *Server) serve(ln net.Listener, serve func(*Process, *http.Server, net.Listener) error) error {
	p, g, err := owner(ln)
	if err != nil {
		return err
	}
	p.hooks.add(srv)
	g.wanted.Store(true)
	if d, err := dropIn(); err == nil && d.Process == p {
		d.tell()
	}
	if err := serve(p, srv.Server, ln); err != nil {
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return err
	}
	<-p.hooks.over
	return nil
}

// owner finds the Process that a listener belongs to.
func owner(ln net.Listener) (*Process, *gate, error) {
	if g, ok := ln.(*gate); ok {
		return g.p, g, nil
	}
	d, err := dropIn()
	if err != nil {
		return nil, nil, err
	}
	if g := d.gateBelow(ln); g != nil {
		return d.Process, g, nil
	}
	return nil, nil, fmt.Errorf("serve on %s: this listener was not made by package grace, so a hot restart could not pass it on: "+
		"replace net.Listen by the server's Listen, or call ListenAndServe", ln.Addr())
}

// RegisterSignalHook has f called before (PreSignal) or after (PostSignal) the action of HUP, INT or TERM, at any server's
// of the program: once for each restart or stop, in the process that carries it out. The action waits for the hooks as long as the drain deadline (at least
// 5 s), a second stop does not. A function that is registered with several servers is called once. Another position or signal is an error.
//
// After HUP means: when the successor has been committed, or taken back. After a stop means: when everything has drained; the serving methods return
// then.
func (srv *Server) RegisterSignalHook(ppFlag int, sig os.Signal, f func()) error {
	if ppFlag != PreSignal && ppFlag != PostSignal {
		return fmt.Errorf("register a hook of %v: position %d, want PreSignal or PostSignal", sig, ppFlag)
	}
	if !slices.Contains(hookable, sig) {
		return fmt.Errorf("register a hook of %v: want HUP, INT or TERM", sig)
	}
	hooking.Lock()
	defer hooking.Unlock()
	if srv.SignalHooks == nil {
		srv.SignalHooks = map[int]map[os.Signal][]func(){}
	}
	if srv.SignalHooks[ppFlag] == nil {
		srv.SignalHooks[ppFlag] = map[os.Signal][]func(){}
	}
	srv.SignalHooks[ppFlag][sig] = append(srv.SignalHooks[ppFlag][sig], f)
	return nil
}
