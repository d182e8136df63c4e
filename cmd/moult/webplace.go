package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/moult-go/moult/release/tuf"
)

// webPlace is a feed as its readers see it. It can be copied from.
type webPlace struct {
	base *url.URL
	http *http.Client
}

func newWebPlace(name string) (*webPlace, error) {
	u, err := url.Parse(name)
	if err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, &usageError{errors.Join(fmt.Errorf("%s: not the URL of a feed", name), err)}
	}
	return &webPlace{u, &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
		IdleConnTimeout:       30 * time.Second,
		DisableCompression:    true, // bytes must come as they were signed
		ForceAttemptHTTP2:     true,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
	}}}, nil
}

func (w *webPlace) String() string { return w.base.Redacted() }

func (w *webPlace) open(ctx context.Context, path string) (io.ReadCloser, error) {
	res, err := w.do(ctx, http.MethodGet, path)
	if err != nil {
		return nil, err
	}
	return received{res.Body}, nil
}

func (w *webPlace) size(ctx context.Context, path string) (int64, error) {
	res, err := w.do(ctx, http.MethodHead, path)
	if err != nil {
		return 0, err
	}
	res.Body.Close()
	return res.ContentLength, nil
}

func (w *webPlace) do(ctx context.Context, method, path string) (*http.Response, error) {
	u := w.base.JoinPath(path)
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "moult-sync")
	res, err := w.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: %w", tuf.ErrUnreachable, err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	res.Body.Close()
	return nil, &tuf.HTTPError{URL: u.Redacted(), Status: res.StatusCode} // 403 and 404 are ErrNotFound
}
