package proxy

import (
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"sync/atomic"
)

// errNone says that no upstream is well.
var errNone = errors.New("no upstream is well")

// pool is the upstreams of one prefix. It is the http.RoundTripper of the prefix's ReverseProxy.
type pool struct {
	prefix      string
	upstreams   []*upstream
	rewriteHost bool
	turn        atomic.Uint32
	reverse     *httputil.ReverseProxy
}

// pick returns the upstream that is well and has the least to do; they take turns if several have. Nil: there is none but those in tried.
func (p *pool) pick(tried []*upstream) (best *upstream) {
	var least int64
	first := int(p.turn.Add(1))
next:
	for i := range p.upstreams {
		u := p.upstreams[(first+i)%len(p.upstreams)]
		if u.down.Load() {
			continue
		}
		for _, t := range tried {
			if t == u {
				continue next
			}
		}
		if busy := u.busy.Load(); best == nil || busy < least {
			best, least = u, busy
		}
	}
	return best
}

// RoundTrip sends req, which is the ReverseProxy's own, made for us: to the next upstream too if a connection could not be made.
func (p *pool) RoundTrip(req *http.Request) (*http.Response, error) {
	path, raw, body := req.URL.Path, req.URL.RawPath, req.Body
	last := errNone
	var tried []*upstream
	for {
		u := p.pick(tried)
		if u == nil {
			return nil, last
		}
		if body != nil {
			req.Body = io.NopCloser(body) // a failed try closes it; the ReverseProxy does in the end
		}
		u.busy.Add(1)
		res, err := u.send(req, path, raw, p.rewriteHost)
		if err == nil {
			res.Body = counted(res.Body, u)
			return res, nil
		}
		u.busy.Add(-1)
		if req.Context().Err() != nil || !errors.As(err, new(dialError)) {
			return nil, err
		}
		u.leaveOut(err)
		last, tried = err, append(tried, u)
	}
}

// counted counts a request as under way until its answer has been read or given up.
func counted(body io.ReadCloser, u *upstream) io.ReadCloser {
	c := &counting{ReadCloser: body, u: u}
	if w, ok := body.(io.Writer); ok { // 101: the connection itself
		return &countingConn{c, w}
	}
	return c
}

type counting struct {
	io.ReadCloser
	u     *upstream
	ended atomic.Bool
}

func (c *counting) Close() error {
	if c.ended.CompareAndSwap(false, true) {
		c.u.busy.Add(-1)
	}
	return c.ReadCloser.Close()
}

type countingConn struct {
	*counting
	io.Writer
}

// CloseWrite passes on that the client will say no more.
func (c *countingConn) CloseWrite() error {
	if w, ok := c.Writer.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return c.Close()
}
