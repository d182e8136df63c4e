package transfer

import (
	"context"
	"fmt"
	"net/http"
)

// Location returns where u redirects to, without going there. It is an error if u does not.
func (c *Client) Location(ctx context.Context, u string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.Timeout, errTimeout)
	defer cancel()
	stay := *c
	h := *c.http
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	stay.http = &h
	res, err := stay.open(ctx, u, http.Header{})
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode >= 400:
		return "", refusal(u, res)
	case res.StatusCode < 300:
		return "", fmt.Errorf("get %s: status %d, a redirect was expected: %w", Redact(u), res.StatusCode, ErrMalformed)
	}
	to, err := res.Location()
	if err != nil {
		return "", fmt.Errorf("get %s: a redirect to nowhere: %w", Redact(u), ErrMalformed)
	}
	return to.String(), nil
}

// Length returns how many bytes the file at u has, as its server says, without reading them: for files that nobody else tells the length of.
// Stores that sign their addresses for GET alone answer this as well, which is why it is no HEAD.
func (c *Client) Length(ctx context.Context, u string) (int64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.Timeout, errTimeout)
	defer cancel()
	res, err := c.open(ctx, u, http.Header{})
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0, refusal(u, res)
	}
	if err := checkContent(u, res); err != nil {
		return 0, err
	}
	if res.ContentLength <= 0 {
		return 0, fmt.Errorf("get %s: its server does not say how long it is: %w", Redact(u), ErrMalformed)
	}
	return res.ContentLength, nil
}
