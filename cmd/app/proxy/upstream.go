package proxy

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

const (
	dialTimeout  = 5 * time.Second
	firstRetry   = 50 * time.Millisecond // after which an upstream that is left out is tried again; doubles
	lastRetry    = time.Second
	keptIdle     = 1024 // connections to one upstream
	keptIdleTime = 90 * time.Second
)

// upstream is one server behind this one.
type upstream struct {
	name      string // as it was given, for the log
	base      url.URL
	transport *http.Transport
	dial      func(context.Context) (net.Conn, error)
	log       *slog.Logger

	busy   atomic.Int64 // requests under way
	down   atomic.Bool  // left out
	failed chan struct{}
}

// dialError says that a connection could not be made, so that nothing was sent.
type dialError struct{ error }

func (e dialError) Unwrap() error { return e.error }

func newUpstream(u *url.URL, headerTimeout time.Duration, log *slog.Logger) *upstream {
	up := &upstream{name: u.String(), base: *u, log: log.With("upstream", u.String()), failed: make(chan struct{}, 1)}
	network, address := "tcp", u.Host
	var protocols http.Protocols
	protocols.SetHTTP1(u.Scheme != "h2c")
	protocols.SetHTTP2(u.Scheme == "https")
	protocols.SetUnencryptedHTTP2(u.Scheme == "h2c")
	switch u.Scheme {
	case "unix":
		network, address = "unix", u.Path
		up.base = url.URL{Scheme: "http", Host: "localhost"}
	case "h2c":
		up.base.Scheme = "http"
	}
	if network == "tcp" && u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "h2c": "80", "https": "443"}[u.Scheme])
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	up.dial = func(ctx context.Context) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, dialError{err}
		}
		return c, nil
	}
	up.transport = &http.Transport{
		DialContext:           func(ctx context.Context, _, _ string) (net.Conn, error) { return up.dial(ctx) },
		Protocols:             &protocols,
		DisableCompression:    true, // the client says what it wants
		MaxIdleConnsPerHost:   keptIdle,
		IdleConnTimeout:       keptIdleTime,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: headerTimeout,
		ExpectContinueTimeout: time.Second,
	}
	return up
}

// leaveOut takes the upstream out of the choice until watch finds it well.
func (u *upstream) leaveOut(err error) {
	if u.down.CompareAndSwap(false, true) {
		u.log.Warn("upstream left out", "err", err)
		select {
		case u.failed <- struct{}{}:
		default:
		}
	}
}

// watch asks after the upstream until ctx ends: every interval while it is well, if there is a path to ask, and with growing patience while it is not.
func (u *upstream) watch(ctx context.Context, path string, interval time.Duration) {
	defer u.transport.CloseIdleConnections()
	var tick <-chan time.Time
	ask := func() {
		if err := u.probe(ctx, path); err != nil && ctx.Err() == nil {
			u.leaveOut(err)
		}
	}
	if path != "" {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		tick = ticker.C
		ask()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
			ask()
		case <-u.failed:
			u.await(ctx, path)
		}
	}
}

// await returns when the upstream is well again, or ctx has ended.
func (u *upstream) await(ctx context.Context, path string) {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if u.probe(ctx, path) == nil {
			u.down.Store(false)
			u.log.Info("upstream is back")
			return
		}
	}
}

// probe looks whether the upstream is well: it accepts a connection, and answers at path if there is one.
func (u *upstream) probe(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if path == "" {
		c, err := u.dial(ctx)
		if err != nil {
			return err
		}
		return c.Close()
	}
	target := u.base
	target.Path, target.RawPath = path, ""
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return err
	}
	res, err := u.transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	io.CopyN(io.Discard, res.Body, 64<<10) // so that the connection can be kept
	if res.StatusCode >= 400 {
		return fmt.Errorf("%s answers %s", path, res.Status)
	}
	return nil
}

// send makes req a request to this upstream, for path (and its encoded form) below the upstream's own.
func (u *upstream) send(req *http.Request, path, raw string, rewriteHost bool) (*http.Response, error) {
	req.URL.Scheme, req.URL.Host = u.base.Scheme, u.base.Host
	req.URL.Path, req.URL.RawPath = path, raw
	if own := strings.TrimSuffix(u.base.Path, "/"); own != "" {
		if raw == "" {
			raw = (&url.URL{Path: path}).EscapedPath()
		}
		req.URL.Path, req.URL.RawPath = own+path, strings.TrimSuffix(u.base.EscapedPath(), "/")+raw
	}
	if rewriteHost {
		req.Host = u.base.Host
	}
	return u.transport.RoundTrip(req)
}
