package transfer

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// NewTransport returns the transport that a Client has by default. It is not http.DefaultTransport: others may change that, and
// bodies must come as they were stored, without compression. The cache of TLS sessions saves more bytes at a check than
// anything else.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:    15 * time.Second,
		ResponseHeaderTimeout:  30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		IdleConnTimeout:        30 * time.Second,
		MaxIdleConnsPerHost:    1,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		TLSClientConfig:        &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(4)},
	}
}

// maxCAFile is generous: a whole system's bundle has a quarter of it.
const maxCAFile = 1 << 20

// authorities returns the system's certificate authorities and those of a PEM file.
func authorities(file string) (*x509.CertPool, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("ca file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCAFile+1))
	if err != nil {
		return nil, fmt.Errorf("ca file: %w", err)
	}
	if len(b) > maxCAFile {
		return nil, fmt.Errorf("ca file %s: more than %d bytes", file, maxCAFile)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("ca file %s: the system's own certificates: %w", file, err)
	}
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("ca file %s: it holds no certificate; give one in PEM form (-----BEGIN CERTIFICATE-----)", file)
	}
	return pool, nil
}

const maxRedirects = 10

func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("%w: more than %d", ErrRedirect, maxRedirects)
	}
	if req.URL.Scheme != "https" && via[len(via)-1].URL.Scheme == "https" {
		return fmt.Errorf("%w: from https to %s", ErrRedirect, req.URL.Scheme)
	}
	req.Header.Del("Referer") // the path of a private feed is nobody else's business
	return nil
}

// authorizer adds credentials to the requests that go to their origin. It does so below the http.Client, which on a redirect would carry
// most headers to whatever host the answer named.
type authorizer struct {
	http.RoundTripper
	origin    string
	authorize func(*http.Request)
}

func (a *authorizer) RoundTrip(r *http.Request) (*http.Response, error) {
	if origin(r.URL) == a.origin {
		r = r.Clone(r.Context())
		a.authorize(r)
	}
	return a.RoundTripper.RoundTrip(r)
}

// CloseIdleConnections is what http.Client looks for.
func (a *authorizer) CloseIdleConnections() {
	if c, ok := a.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// origin is scheme, host and port of a URL.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(u.Hostname(), port)
}

func parseOrigin(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return "", errors.New("origin of the credentials: not of the form https://host")
	}
	return origin(u), nil
}
