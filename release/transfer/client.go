package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

// Options adjusts a Client; the zero value is good.
type Options struct {
	UserAgent   string            // default "moult"
	Timeout     time.Duration     // of one small file; default 30 s
	StallWindow time.Duration     // a download that brings less than 1 KiB/s over this time is given up; default 60 s
	CAFile      string            // PEM file of certificate authorities to trust beside the system's; not with a Transport
	Transport   http.RoundTripper // default: NewTransport()

	// Origin is the scheme://host[:port] that Authorize's credentials are for. Any path after it is ignored.
	Origin string
	// Authorize puts credentials into a request. It is called for requests to Origin only, so that neither a redirect
	// nor an address that an answer named takes them elsewhere.
	Authorize func(*http.Request)
}

// Client gets files. Its methods may be called from several goroutines.
type Client struct {
	o    Options
	http *http.Client
}

// New returns a Client. It does not touch the network.
func New(o Options) (*Client, error) {
	if o.UserAgent == "" {
		o.UserAgent = "moult"
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.StallWindow <= 0 {
		o.StallWindow = 60 * time.Second
	}
	if o.CAFile != "" {
		if o.Transport != nil {
			return nil, errors.New("a CA file and a transport exclude each other")
		}
		pool, err := authorities(o.CAFile)
		if err != nil {
			return nil, err
		}
		t := NewTransport()
		t.TLSClientConfig.RootCAs = pool
		o.Transport = t
	}
	if o.Transport == nil {
		o.Transport = NewTransport()
	}
	rt := o.Transport
	if o.Authorize != nil {
		at, err := parseOrigin(o.Origin)
		if err != nil {
			return nil, err
		}
		rt = &authorizer{rt, at, o.Authorize}
	}
	return &Client{o: o, http: &http.Client{Transport: rt, CheckRedirect: checkRedirect}}, nil
}

// Close drops idle connections. The client can still be used.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Validators name a version of a file, as its server said. Kept and given back, they make a request conditional.
type Validators struct {
	ETag         string
	LastModified string
}

// Longer validators than these are not worth keeping.
const (
	maxETag = 256
	maxDate = 64
)

func validators(h http.Header) (v Validators) {
	if s := h.Get("ETag"); len(s) <= maxETag {
		v.ETag = s
	}
	if s := h.Get("Last-Modified"); len(s) <= maxDate {
		v.LastModified = s
	}
	return v
}

// File is the answer to a Get.
type File struct {
	Body []byte // nil if NotModified
	Validators
	NotModified bool        // it is what the validators named
	Header      http.Header // of the answer
}

// Get reads a small file: never more than limit bytes, and within the timeout. With validators of an earlier answer the server may
// say that nothing changed, which costs no body. If there are none, or other, bytes the error says why.
func (c *Client) Get(ctx context.Context, u string, limit int64, cond Validators) (File, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.Timeout, errTimeout)
	defer cancel()
	ask := http.Header{}
	if cond.ETag != "" {
		ask.Set("If-None-Match", cond.ETag)
	}
	if cond.LastModified != "" {
		ask.Set("If-Modified-Since", cond.LastModified)
	}
	res, err := c.open(ctx, u, ask)
	if err != nil {
		return File{}, err
	}
	defer res.Body.Close()
	f := File{Validators: validators(res.Header), Header: res.Header}
	switch {
	case res.StatusCode == http.StatusNotModified && cond != Validators{}:
		f.Validators, f.NotModified = cond, true
		return f, nil
	case res.StatusCode != http.StatusOK:
		return File{}, refusal(u, res)
	}
	if err := checkContent(u, res); err != nil {
		return File{}, err // before the length, which is another one then
	}
	if res.ContentLength > limit {
		return File{}, fmt.Errorf("get %s: %d bytes, at most %d expected: %w", Redact(u), res.ContentLength, limit, ErrOversized)
	}
	f.Body, err = io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case err != nil:
		return File{}, broken(ctx, Redact(u), err)
	case int64(len(f.Body)) > limit:
		return File{}, fmt.Errorf("get %s: more than %d bytes: %w", Redact(u), limit, ErrOversized)
	case looksLikeHTML(f.Body):
		return File{}, fmt.Errorf("get %s: %w", Redact(u), ErrHTML)
	}
	return f, nil
}

// open sends a request with the given headers and returns whatever answer comes.
func (c *Client) open(ctx context.Context, u string, ask http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, fmt.Errorf("get %s: unreadable url", Redact(u)) // the error names the URL
	}
	req.Header = ask
	req.Header.Set("User-Agent", c.o.UserAgent)
	req.Header.Set("Accept-Encoding", "identity") // so that no transport decompresses, one that the caller brought neither
	res, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(ctx, Redact(u), err)
	}
	return res, nil
}

// refusal is the error of an answer that is no success.
func refusal(u string, res *http.Response) error {
	return &HTTPError{URL: Redact(u), Status: res.StatusCode, Header: res.Header, Wait: retryAfter(res.Header, time.Now())}
}

// checkContent refuses what is plainly not the stored file.
func checkContent(u string, res *http.Response) error {
	if enc := res.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return fmt.Errorf("get %s: content encoding %.40q, not asked for: %w", Redact(u), enc, ErrMalformed)
	}
	if kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); kind == "text/html" {
		return fmt.Errorf("get %s: %w", Redact(u), ErrHTML)
	}
	return nil
}

func looksLikeHTML(b []byte) bool {
	return strings.HasPrefix(strings.TrimSpace(string(b[:min(len(b), 64)])), "<")
}
