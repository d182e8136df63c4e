package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

// Patience is how long a missing socket is dialed again.
const Patience = 5 * time.Second

const (
	redial    = 50 * time.Millisecond
	maxAnswer = 8 << 20 // bytes of one document
	maxStream = 64 << 20

	maxReasons = 64 << 10 // why it is not ready
)

// Client speaks to one admin socket.
type Client struct {
	http *http.Client
}

// New returns a client of the socket at path. It does not connect yet.
func New(path string) *Client {
	t := &http.Transport{
		// A connection for each request: then net/http has no reused one on which it might repeat a POST.
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dial(ctx, path)
		},
	}
	return &Client{&http.Client{Transport: t}}
}

func dial(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	for end := time.Now().Add(Patience); ; {
		c, err := d.DialContext(ctx, "unix", path)
		if err == nil || time.Now().After(end) {
			return c, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(redial):
		}
	}
}

// CutError is an upgrade or rollback whose connection ended before its outcome was told.
type CutError struct {
	Err error
}

func (e *CutError) Error() string {
	return "the server went away before it told the outcome: " + e.Err.Error()
}
func (e *CutError) Unwrap() error { return e.Err }

// Status asks for the status.
func (c *Client) Status(ctx context.Context) (admin.Status, error) {
	var s admin.Status
	err := c.one(ctx, http.MethodGet, "status", nil, &s)
	return s, err
}

// Ready returns nil if the server serves and is well, and else an error with its reasons.
func (c *Client) Ready(ctx context.Context) error {
	resp, err := c.do(ctx, http.MethodGet, "readyz?verbose", nil)
	if err != nil {
		return fmt.Errorf("ask the server whether it is ready: %w", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReasons))
	switch {
	case err != nil:
		return fmt.Errorf("ask the server whether it is ready: read the answer: %w", err)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("not ready: %s", strings.TrimSpace(string(b)))
	}
	return nil
}

// Check asks the server to look for something newer. It changes nothing.
func (c *Client) Check(ctx context.Context, r admin.Request) (admin.Check, error) {
	var found admin.Check
	err := c.one(ctx, http.MethodPost, "check", r, &found)
	return found, err
}

// Upgrade asks for an upgrade and follows it to its end. Ending ctx ends the following, not the upgrade.
func (c *Client) Upgrade(ctx context.Context, r admin.Request, events func(updater.Event)) (updater.Outcome, error) {
	return c.follow(ctx, "upgrade", r, events)
}

// Rollback asks for a kept version and follows the way there to its end.
func (c *Client) Rollback(ctx context.Context, r admin.Request, events func(updater.Event)) (updater.Outcome, error) {
	return c.follow(ctx, "rollback", r, events)
}

// Hold keeps updates from being applied, and returns how they are held now.
func (c *Client) Hold(ctx context.Context, h updater.Hold) (admin.Held, error) {
	var held admin.Held
	err := c.one(ctx, http.MethodPost, "hold", h, &held)
	return held, err
}

// Unhold lets updates go on.
func (c *Client) Unhold(ctx context.Context) (admin.Held, error) {
	var held admin.Held
	err := c.one(ctx, http.MethodPost, "unhold", nil, &held)
	return held, err
}

// Quarantine asks for the builds that are not tried again.
func (c *Client) Quarantine(ctx context.Context) (admin.Quarantine, error) {
	var q admin.Quarantine
	err := c.one(ctx, http.MethodGet, "quarantine", nil, &q)
	return q, err
}

// Unquarantine lets builds be tried again, and returns them.
func (c *Client) Unquarantine(ctx context.Context, which admin.Clear) (admin.Quarantine, error) {
	var q admin.Quarantine
	err := c.one(ctx, http.MethodPost, "quarantine/clear", which, &q)
	return q, err
}

// History asks for the attempts that have ended.
func (c *Client) History(ctx context.Context) (admin.History, error) {
	var h admin.History
	err := c.one(ctx, http.MethodGet, "history", nil, &h)
	return h, err
}

func (c *Client) do(ctx context.Context, method, what string, body any) (*http.Response, error) {
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		payload = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://admin/v1/"+what, payload)
	if err != nil {
		return nil, err
	}
	return c.http.Do(req)
}

// one exchanges one document.
func (c *Client) one(ctx context.Context, method, what string, body, into any) error {
	resp, err := c.do(ctx, method, what, body)
	if err != nil {
		return fmt.Errorf("ask the server for %s: %w", what, err)
	}
	defer resp.Body.Close()
	d := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode != http.StatusOK {
		return refusal(what, resp.Status, d)
	}
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("ask the server for %s: read the answer: %w", what, err)
	}
	return nil
}

func refusal(what, status string, d *json.Decoder) error {
	var l admin.Line
	if err := d.Decode(&l); err != nil || l.Error == nil {
		return fmt.Errorf("ask the server for %s: it answers %s", what, status)
	}
	return l.Error
}

// follow reads lines to the last.
func (c *Client) follow(ctx context.Context, what string, r admin.Request, events func(updater.Event)) (updater.Outcome, error) {
	resp, err := c.do(ctx, http.MethodPost, what, r)
	if err != nil {
		if op := new(net.OpError); errors.As(err, &op) && op.Op == "dial" {
			return updater.Outcome{}, fmt.Errorf("ask the server for %s: %w", what, err)
		}
		return updater.Outcome{}, &CutError{err}
	}
	defer resp.Body.Close()
	d := json.NewDecoder(io.LimitReader(resp.Body, maxStream))
	if resp.StatusCode != http.StatusOK {
		return updater.Outcome{}, refusal(what, resp.Status, d)
	}
	for {
		var l admin.Line
		if err := d.Decode(&l); err != nil {
			return updater.Outcome{}, &CutError{err}
		}
		switch {
		case l.Error != nil:
			return updater.Outcome{}, l.Error
		case l.Result != nil:
			return *l.Result, nil
		case l.Event != nil && events != nil:
			events(*l.Event)
		}
	}
}
