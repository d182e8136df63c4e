package transfer

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// What can be wrong with a transfer. Several may match: a connection that breaks inside a body is both ErrTruncated and ErrUnreachable.
var (
	// ErrUnreachable is temporary: the network, a timeout, a server that is busy, slow or broken.
	ErrUnreachable = errors.New("unreachable")
	// ErrExpired says that the server's certificate is past its date, or that this host's clock is wrong; such a server is ErrUnreachable too.
	ErrExpired = errors.New("expired, or the clock is wrong")
	// ErrNotFound says that the file is not there (404, 410, or 403 from an object store).
	ErrNotFound = errors.New("not found")
	// ErrMalformed says that an answer is not of the form that it must be.
	ErrMalformed = errors.New("malformed")
	// ErrHTML says that a web page came with status 200 where a file was asked for: a captive portal, a login or an error page.
	ErrHTML = errors.New("a web page instead of a file")
	// ErrDigestMismatch says that a file's bytes are not those that were signed for.
	ErrDigestMismatch = errors.New("sha256 mismatch")
	// ErrTruncated says that a file is shorter than it must be.
	ErrTruncated = errors.New("truncated")
	// ErrOversized says that a file is longer than it may be.
	ErrOversized = errors.New("too long")
	// ErrRedirect says that a redirect was not followed: there were too many, or it led from https to http.
	ErrRedirect = errors.New("redirect refused")
)

// HTTPError is an answer that is no success. It matches ErrNotFound or ErrUnreachable where its status says so.
type HTTPError struct {
	URL    string // without credentials and query
	Status int
	Header http.Header   // of the answer: some servers say there what limit was met
	Wait   time.Duration // the server's Retry-After: at most a day, 0 if it did not say
}

func (e *HTTPError) Error() string { return fmt.Sprintf("get %s: status %d", e.URL, e.Status) }

// RetryAfter is e.Wait: how long the server wants to be left alone.
func (e *HTTPError) RetryAfter() time.Duration { return e.Wait }

// Is makes an HTTPError match the sentinel of its status.
func (e *HTTPError) Is(target error) bool {
	switch e.Status {
	case 403, 404, 410:
		return target == ErrNotFound
	case 408, 425, 429, 500, 502, 503, 504:
		return target == ErrUnreachable
	}
	return false
}

// Causes that tell our own limits from the caller's.
var (
	errTimeout = errors.New("timed out")
	errStalled = errors.New("too slow")
)

// unreachable wraps an error of the network; the caller's own cancellation is passed on as it is.
func unreachable(ctx context.Context, u string, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errTimeout) && !errors.Is(cause, errStalled) {
		return fmt.Errorf("get %s: %w", u, cause)
	} else if cause != nil {
		err = cause
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err // it names the URL, with all that a redirect added, and we do already
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

// Redact returns what may be logged of a URL: credentials and signatures travel in its user and its query.
func Redact(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "(unreadable url)"
	}
	if u.User != nil {
		u.User = url.User("xxxxx")
	}
	u.RawQuery, u.ForceQuery, u.Fragment = "", false, ""
	return u.String()
}
