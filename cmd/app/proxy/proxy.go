package proxy

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moult-go/moult/cmd/app/forwarded"
)

// Options says what to pass on, and how. Only Routes is needed.
type Options struct {
	Routes         []Route
	StripPrefix    bool            // take a route's prefix off the path
	RewriteHost    bool            // send the upstream's own name as Host; default: the client's
	Trust          forwarded.Trust // whose word about the client is passed on; default: nobody's
	HeaderTimeout  time.Duration   // how long an upstream may take to begin an answer; default 60 s; negative: for ever
	HealthPath     string          // that every upstream is asked at; default: none is asked, only dialled when it has failed
	HealthInterval time.Duration   // between two such questions; default 5 s

	// Draining is closed when clients that stay are to move on; it is given the context of their request. Default: they stay.
	Draining func(context.Context) <-chan struct{}
	Logger   *slog.Logger // default: discards
}

// Proxy passes requests on. Its methods may be called at the same time.
type Proxy struct {
	pools []*pool // the longest prefix first
	o     Options
}

// New prepares the upstreams, and looks after them until ctx ends. None has to be there yet.
func New(ctx context.Context, o Options) (*Proxy, error) {
	o.HeaderTimeout = max(cmp.Or(o.HeaderTimeout, time.Minute), 0)
	o.HealthInterval = cmp.Or(o.HealthInterval, 5*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Draining == nil {
		o.Draining = func(context.Context) <-chan struct{} { return nil }
	}
	if o.HealthInterval < 0 || o.HealthPath != "" && !strings.HasPrefix(o.HealthPath, "/") {
		return nil, fmt.Errorf("health of upstreams: want a path and an interval, have %q and %s", o.HealthPath, o.HealthInterval)
	}
	p := &Proxy{o: o}
	for _, r := range o.Routes {
		i := slices.IndexFunc(p.pools, func(have *pool) bool { return have.prefix == r.Prefix })
		if i < 0 {
			i = len(p.pools)
			p.pools = append(p.pools, p.newPool(r.Prefix))
		}
		u := newUpstream(r.URL, o.HeaderTimeout, o.Logger)
		p.pools[i].upstreams = append(p.pools[i].upstreams, u)
		go u.watch(ctx, o.HealthPath, o.HealthInterval)
	}
	slices.SortStableFunc(p.pools, func(a, b *pool) int { return len(b.prefix) - len(a.prefix) })
	return p, nil
}

func (p *Proxy) newPool(prefix string) *pool {
	o := p.o
	pl := &pool{prefix: prefix, rewriteHost: o.RewriteHost}
	pl.reverse = &httputil.ReverseProxy{
		Transport: pl,
		Rewrite: func(pr *httputil.ProxyRequest) {
			o.Trust.Set(pr.Out.Header, pr.In)
			if o.StripPrefix {
				pr.Out.URL.Path, pr.Out.URL.RawPath = strip(prefix, pr.Out.URL.Path, pr.Out.URL.RawPath)
			}
		},
		ModifyResponse: func(res *http.Response) error {
			if isEventStream(res) {
				if draining := o.Draining(res.Request.Context()); draining != nil {
					res.Body = newEvents(res.Body, draining)
				}
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) { p.fail(w, r, prefix, err) },
		ErrorLog:     slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
		BufferPool:   buffers{},
	}
	return pl
}

// Handler passes on what a route matches, by the longest prefix, and leaves the rest to next.
func (p *Proxy) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, pl := range p.pools {
			if under(r.URL.Path, pl.prefix) {
				p.pass(pl, w, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func (p *Proxy) pass(pl *pool, w http.ResponseWriter, r *http.Request) {
	if climbs(r.URL.Path) {
		http.Error(w, "400 Bad Request: the path leads upward", http.StatusBadRequest)
		return
	}
	x := &exchange{ResponseWriter: w}
	if r.ContentLength != 0 {
		x.upload.ReadCloser = r.Body
		r.Body = &x.upload
	}
	if isWebSocket(r) {
		x.draining = p.o.Draining(r.Context())
	}
	pl.reverse.ServeHTTP(x, r)
}

// buffers are what bodies are copied through.
type buffers struct{}

type buffer [32 << 10]byte

var bufferPool = sync.Pool{New: func() any { return new(buffer) }}

func (buffers) Get() []byte { return bufferPool.Get().(*buffer)[:] }

func (buffers) Put(b []byte) { bufferPool.Put((*buffer)(b)) }
