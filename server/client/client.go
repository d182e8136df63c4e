package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
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

// Client speaks to one server. Its methods may be called from any goroutine.
type Client struct {
	// Locate is asked for the path of the socket when nobody answers at the one that is known: a server that was started anew has
	// another. Default: it stays. Set it before the first request.
	Locate func() (path string, err error)

	http *http.Client
	mu   sync.Mutex
	path string
}

// New returns a client of the socket at path. It does not connect yet.
func New(path string) *Client {
	c := &Client{path: path}
	c.http = &http.Client{Transport: &http.Transport{
		// A connection for each request: then net/http has no reused one on which it might repeat a POST.
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) },
	}}
	return c
}

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	for end := time.Now().Add(Patience); ; {
		conn, err := d.DialContext(ctx, "unix", c.socket())
		if err == nil || time.Now().After(end) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(redial):
		}
		c.lookAround()
	}
}

func (c *Client) socket() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.path
}

func (c *Client) lookAround() {
	if c.Locate == nil {
		return
	}
	if path, err := c.Locate(); err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.path = path
	}
}

// CutError is an upgrade, a rollback or a restart whose connection ended before its outcome was told, and whose end could not be learned from
// anybody else either.
type CutError struct {
	Attempt string // its ID, if that is known
	Err     error
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

// Restart asks for a restart with what stands at the path of the executable, as HUP does, and follows it to its end.
func (c *Client) Restart(ctx context.Context, events func(updater.Event)) (updater.Outcome, error) {
	before, err := c.Status(ctx)
	if err != nil {
		return updater.Outcome{}, err
	}
	out, err := c.stream(ctx, "restart", nil, events)
	if cut := new(CutError); errors.As(err, &cut) {
		return c.restarted(ctx, before, cut)
	}
	return out, err
}

// Drain asks the server to stop, and returns when that will be.
func (c *Client) Drain(ctx context.Context, d admin.Drain) (admin.Drained, error) {
	var drained admin.Drained
	err := c.one(ctx, http.MethodPost, "drain", d, &drained)
	return drained, err
}

// Stopped returns when the server has ended that was asked to drain: it takes the directory of its socket away last. One that is killed does not.
func (c *Client) Stopped(ctx context.Context) error {
	for dir := filepath.Dir(c.socket()); ; {
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		select {
		case <-time.After(redial):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
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

// Health asks how the server is: what its program says, and what others say.
func (c *Client) Health(ctx context.Context) (admin.Health, error) {
	var h admin.Health
	err := c.one(ctx, http.MethodGet, "health", nil, &h)
	return h, err
}

// Vote says that the version which serves now is well or ill.
func (c *Client) Vote(ctx context.Context, v admin.Vote) (admin.Health, error) {
	var h admin.Health
	err := c.one(ctx, http.MethodPost, "health", v, &h)
	return h, err
}

// LogLevel asks what the server logs.
func (c *Client) LogLevel(ctx context.Context) (admin.LogLevel, error) {
	var l admin.LogLevel
	err := c.one(ctx, http.MethodGet, "log-level", nil, &l)
	return l, err
}

// SetLogLevel lets the server log by another level, and returns how that stands.
func (c *Client) SetLogLevel(ctx context.Context, to admin.SetLogLevel) (admin.LogLevel, error) {
	var l admin.LogLevel
	err := c.one(ctx, http.MethodPut, "log-level", to, &l)
	return l, err
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
