package tuf

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// newTransport is not http.DefaultTransport: others may change that, and bodies must come as they were signed, without
// compression. The session cache saves more bytes at a check than anything else.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   1,
		DisableCompression:    true,
		ForceAttemptHTTP2:     true,
		TLSClientConfig:       &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(4)},
	}
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > 10 {
		return fmt.Errorf("%w: more than 10", ErrRedirect)
	}
	if req.URL.Scheme != "https" && via[len(via)-1].URL.Scheme == "https" {
		return fmt.Errorf("%w: from https to %s", ErrRedirect, req.URL.Scheme)
	}
	return nil
}

// metadataFetcher is what go-tuf downloads through during one Refresh. go-tuf's interface has no context, so that this one
// carries it, for the length of that call.
type metadataFetcher struct {
	ctx   context.Context
	c     *Client
	roots [][]byte // fetched, in ascending order

	tag       string // of the timestamp that was fetched
	body      []byte
	unchanged bool // it came as a 304

	settled bool // there is no newer root, and the timestamp is the cached one: nothing is asked for
	failed  bool // something could not be fetched
}

// limits caps each role's file. go-tuf takes the length that the timestamp and the snapshot name, however large: who holds the
// online key could fill the memory of every server.
var limits = map[string]int64{metadata.ROOT: 512 << 10, metadata.TIMESTAMP: maxTimestamp, metadata.SNAPSHOT: 2 << 20, metadata.TARGETS: maxMetadata, brakeRole: maxBrakeMetadata}

// DownloadFile implements go-tuf's fetcher.
func (f *metadataFetcher) DownloadFile(u string, limit int64, _ time.Duration) ([]byte, error) {
	name := path.Base(u)
	role := strings.TrimSuffix(name[strings.Index(name, ".")+1:], ".json")
	if name == "timestamp.json" {
		role = metadata.TIMESTAMP
	}
	b, err := f.fetch(u, role, min(limit, limits[role]))
	if errors.Is(err, errNoNewerRoot) {
		return nil, &metadata.ErrDownloadHTTP{StatusCode: http.StatusNotFound, URL: redact(u)}
	}
	if err == nil {
		if err = wellFormed(role, b); err != nil {
			err = fmt.Errorf("get %s: %w", redact(u), err)
		}
	}
	f.failed = err != nil
	if err == nil && role == metadata.ROOT {
		f.roots = append(f.roots, b)
	}
	return b, err
}

var errNoNewerRoot = errors.New("no newer root")

func (f *metadataFetcher) fetch(u, role string, limit int64) ([]byte, error) {
	switch {
	case role == metadata.ROOT && f.settled:
		return nil, errNoNewerRoot
	case role == metadata.TIMESTAMP && f.settled:
		return readCapped(f.c.cache.path("timestamp.json"), limit)
	case role == metadata.TIMESTAMP:
		return f.timestamp(u, limit)
	}
	b, _, err := f.c.get(f.ctx, u, limit, "")
	var status *HTTPError
	if role == metadata.ROOT && errors.As(err, &status) && errors.Is(err, ErrNotFound) {
		return nil, errNoNewerRoot // object stores answer 403 for what is not there
	}
	return b, err
}

// maxUnchanged is the number of checks in a row that take a server's word for it that the timestamp is the one they have. A server
// that gives the tag of new bytes to old ones (an object store did that which keeps tags beside its files) would else hold a client to
// them until they expire.
const maxUnchanged = 12

// timestamp asks for the one file that changes under its name, and asks conditionally. The cached bytes that answer a 304 are
// verified like any others, their date included.
func (f *metadataFetcher) timestamp(u string, limit int64) ([]byte, error) {
	cached, tag := f.c.cache.timestamp()
	if f.c.unchanged >= maxUnchanged {
		tag = ""
	}
	f.c.unchanged++
	b, newTag, err := f.c.get(f.ctx, u, limit, tag)
	if errors.Is(err, errNotModified) {
		b, newTag, err, f.unchanged = cached, tag, nil, true
	} else {
		f.c.unchanged = 0
	}
	if err != nil {
		return nil, fmt.Errorf("timestamp: %w", err)
	}
	f.tag, f.body = newTag, b
	return b, nil
}

// keepETag stores the tag with the digest of its body. If go-tuf kept another body (same version, signed again), the digest
// will not fit and the next request is unconditional.
func (f *metadataFetcher) keepETag() error {
	if f.tag == "" || len(f.tag) > 256 {
		return nil
	}
	return f.c.cache.putETag(f.tag, f.body)
}

// dropETag forgets the tag of a timestamp that came as a 304 and led to nothing, so that no server, nor a tag that is not
// unique, can hold a client to it.
func (f *metadataFetcher) dropETag() error {
	if !f.unchanged {
		return nil
	}
	return removeFile(f.c.cache.path(etagFile))
}

var errNotModified = errors.New("not modified")

// open sends a request and returns its body when the status is 200.
func (c *Client) open(ctx context.Context, u, tag string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", c.opts.UserAgent)
	req.Header.Set("Accept-Encoding", "identity") // so that no transport decompresses, one that the caller brought neither
	if tag != "" {
		req.Header.Set("If-None-Match", tag)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(ctx, redact(u), err)
	}
	if err := checkResponse(res, redact(u), tag); err != nil {
		res.Body.Close()
		return nil, err
	}
	return res, nil
}

func checkResponse(res *http.Response, u, tag string) error {
	switch {
	case res.StatusCode == http.StatusNotModified && tag != "":
		return errNotModified
	case res.StatusCode != http.StatusOK:
		return &HTTPError{URL: u, Status: res.StatusCode, RetryAfter: retryAfter(res.Header.Get("Retry-After"))}
	}
	if enc := res.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return fmt.Errorf("get %s: content encoding %.40q, not asked for: %w", u, enc, ErrMalformed)
	}
	if kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); kind == "text/html" {
		return fmt.Errorf("get %s: %w", u, ErrHTML)
	}
	return nil
}

// get reads a small file: never more than limit bytes, and within the timeout.
func (c *Client) get(ctx context.Context, u string, limit int64, tag string) (body []byte, newTag string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.opts.Timeout, errTimeout)
	defer cancel()
	res, err := c.open(ctx, u, tag)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	if res.ContentLength > limit {
		return nil, "", fmt.Errorf("get %s: %d bytes, at most %d expected: %w", redact(u), res.ContentLength, limit, ErrOversized)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case err != nil:
		return nil, "", broken(ctx, redact(u), err)
	case int64(len(b)) > limit:
		return nil, "", fmt.Errorf("get %s: more than %d bytes: %w", redact(u), limit, ErrOversized)
	case looksLikeHTML(b):
		return nil, "", fmt.Errorf("get %s: %w", redact(u), ErrHTML)
	}
	return b, res.Header.Get("ETag"), nil
}

func looksLikeHTML(b []byte) bool {
	return strings.HasPrefix(strings.TrimSpace(string(b[:min(len(b), 64)])), "<")
}

// errTimeout is the cause that tells our own limit from the caller's.
var errTimeout = errors.New("timed out")

// unreachable wraps an error of the network; the caller's own cancellation is passed on as it is.
func unreachable(ctx context.Context, u string, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errTimeout) && !errors.Is(cause, errStalled) {
		return fmt.Errorf("get %s: %w", u, cause)
	} else if cause != nil {
		err = cause
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err // it names the URL, and we do already
	}
	if errors.Is(err, ErrRedirect) {
		return fmt.Errorf("get %s: %w", u, err)
	}
	var cert x509.CertificateInvalidError
	if errors.As(err, &cert) && cert.Reason == x509.Expired {
		return fmt.Errorf("get %s: %w: %w: %w", u, ErrExpired, ErrUnreachable, err)
	}
	return fmt.Errorf("get %s: %w: %w", u, ErrUnreachable, err)
}

// broken is unreachable for a body that ended early or never.
func broken(ctx context.Context, u string, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	return unreachable(ctx, u, err)
}

func redact(u string) string {
	p, err := url.Parse(u)
	if err != nil {
		return "(unreadable url)"
	}
	return p.Redacted()
}

// retryAfter reads seconds or a date; what it cannot read is 0, what is unreasonable is cut to a day.
func retryAfter(s string) time.Duration {
	var d time.Duration
	if n, err := strconv.ParseInt(s, 10, 32); err == nil {
		d = time.Duration(n) * time.Second
	} else if t, err := http.ParseTime(s); err == nil {
		d = time.Until(t)
	}
	return min(max(d, 0), 24*time.Hour)
}
