package tuf

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/transfer"
)

// ClientOptions adjusts a Client; the zero value is good.
type ClientOptions struct {
	App         string            // that an index must be of; "" accepts any
	UserAgent   string            // default "moult"
	Timeout     time.Duration     // of one metadata request; default 30 s
	StallWindow time.Duration     // a payload that brings less than 1 KiB/s over this time is given up; default 60 s
	Mirrors     []string          // further URLs that have the same feed
	CAFile      string            // PEM file of certificate authorities to trust beside the system's; not with a Transport
	Transport   http.RoundTripper // default: a transport of its own, with the environment's proxies
	Logger      *slog.Logger      // default: discards
}

// Client reads a feed. Its methods may be called from several goroutines; Refresh and Index run one at a time.
type Client struct {
	mirrors mirrors
	opts    ClientOptions
	web     *transfer.Client
	cache   *cache

	now     func() time.Time                 // time.Now, but for tests
	turn    chan struct{}                    // holds one token: whoever takes it may use what follows
	trusted *trustedmetadata.TrustedMetadata // nil before the first Refresh
	brake   *release.Brake                   // nil if the feed has none

	unchanged int // checks in a row that were answered by 304
}

// NewClient returns a client of the feed at feedURL (http:// or https://), which holds metadata/ and targets/. root is the
// embedded first root; cacheDir keeps what was verified, below a directory named by the root's digest.
// It does not touch the network.
func NewClient(feedURL string, root []byte, cacheDir string, o ClientOptions) (*Client, error) {
	bases, err := parseMirrors(append([]string{feedURL}, o.Mirrors...))
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if cacheDir == "" {
		return nil, errors.New("feed client: no cache directory")
	}
	c := &Client{mirrors: mirrors{bases: bases, log: o.Logger}, opts: o, now: clock, turn: make(chan struct{}, 1)}
	c.turn <- struct{}{}
	c.web, err = transfer.New(transfer.Options{UserAgent: o.UserAgent, Timeout: o.Timeout, StallWindow: o.StallWindow, CAFile: o.CAFile, Transport: o.Transport})
	if err != nil {
		return nil, c.failed(err)
	}
	err = guard(func() error {
		c.cache, err = openCache(cacheDir, root, o.Logger)
		return err
	})
	if err != nil {
		return nil, c.failed(err)
	}
	return c, nil
}

// failed says of which feed an error is.
func (c *Client) failed(err error) error {
	return fmt.Errorf("feed %s: %w", transfer.Redact(c.mirrors.bases[0].String()), err)
}

func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("feed url: %w", err)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("feed url %s: not http:// or https://", u.Redacted())
	case u.Hostname() == "":
		return nil, fmt.Errorf("feed url %s: no host", u.Redacted())
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("feed url %s: it must have no query and no fragment", u.Redacted())
	}
	return u, nil
}

// Close drops idle connections. The client can still be used.
func (c *Client) Close() { c.web.Close() }

// do runs f when it is this goroutine's turn.
func (c *Client) do(ctx context.Context, f func() error) error {
	select {
	case <-c.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { c.turn <- struct{}{} }()
	return guard(f)
}

// Refresh brings the trusted metadata up to date, from the first mirror that can. When nothing changed it costs two requests.
func (c *Client) Refresh(ctx context.Context) error {
	if err := c.do(ctx, func() error { return c.refresh(ctx) }); err != nil {
		return c.failed(err)
	}
	return nil
}

func (c *Client) refresh(ctx context.Context) error {
	if c.unchanged >= maxUnchanged {
		c.mirrors.next()
	}
	err := c.mirrors.each(ctx, func(base *url.URL) error { return c.refreshFrom(ctx, base) })
	var behind *behindError
	if !errors.As(err, &behind) || errors.Is(err, ErrCache) || ctx.Err() != nil {
		return err
	}
	t, err := c.keepTo(ctx, behind, err)
	if err != nil {
		return err
	}
	return c.mirrors.each(ctx, func(base *url.URL) error { return c.trust(ctx, base, t) })
}

// refreshFrom is a whole refresh from one mirror.
func (c *Client) refreshFrom(ctx context.Context, base *url.URL) error {
	root, err := c.cache.prepare()
	if err != nil {
		return ofCache(err)
	}
	f := &metadataFetcher{ctx: ctx, c: c}
	t, err := c.walk(f, base, root)
	// Roots that verify are kept whatever became of the rest: the walk starts from them next time.
	c.warn("keep feed root", c.cache.addRoots(f.roots))
	if got, have, older := f.older(t, err); older {
		return &behindError{got, have, err}
	}
	if err == nil {
		c.warn("keep count of feed checks", c.cache.setBehind(0))
		err = c.trust(ctx, base, t)
	}
	if err != nil {
		c.warn("drop feed etag", f.dropETag())
		return err
	}
	c.warn("keep feed etag", f.keepETag())
	return nil
}

// trust takes verified metadata, and the brake that belongs to it, into use.
func (c *Client) trust(ctx context.Context, base *url.URL, t *trustedmetadata.TrustedMetadata) error {
	brake, err := c.refreshBrake(ctx, base, t)
	if err != nil {
		return fmt.Errorf("brake: %w", err)
	}
	c.trusted, c.brake = t, brake
	return nil
}

// warn logs what went wrong with a file that a check can do without.
func (c *Client) warn(what string, err error) {
	if err != nil {
		c.opts.Logger.Warn(what, "err", err)
	}
}

// walk runs go-tuf once: root, timestamp, snapshot, targets. What it trusted until it failed is returned beside the error.
func (c *Client) walk(f *metadataFetcher, base *url.URL, root []byte) (*trustedmetadata.TrustedMetadata, error) {
	u, err := c.updater(f, base.JoinPath(metadataDir).String(), root)
	if err != nil {
		return nil, err
	}
	err = f.guard(u.Refresh)
	t := u.GetTrustedMetadataSet()
	return &t, err
}

// updater is go-tuf's, which works once, over our fetcher, cache and clock.
func (c *Client) updater(f *metadataFetcher, metadataURL string, root []byte) (*updater.Updater, error) {
	cfg, err := config.New(metadataURL, root)
	if err != nil {
		return nil, err
	}
	cfg.Fetcher = f
	cfg.LocalMetadataDir, cfg.LocalTargetsDir = c.cache.dir, c.cache.dir
	u, err := updater.New(cfg)
	if err != nil {
		return nil, ofCache(err)
	}
	u.UnsafeSetRefTime(c.now().UTC()) // what it does by itself, by a clock that tests can move
	return u, nil
}

// IndexName names an index of the feed.
type IndexName struct {
	Channel  string           `json:"channel"`
	Platform release.Platform `json:"platform"`
}

// Indexes lists the channels and platforms that the feed has, as of the last Refresh, sorted.
func (c *Client) Indexes() []IndexName {
	<-c.turn
	defer func() { c.turn <- struct{}{} }()
	if c.trusted == nil {
		return nil
	}
	var names []IndexName
	for _, path := range slices.Sorted(maps.Keys(c.trusted.Targets[metadata.TARGETS].Signed.Targets)) {
		if n, ok := parseIndexPath(path); ok {
			names = append(names, n)
		}
	}
	return names
}

// parseIndexPath undoes release.IndexPath.
func parseIndexPath(path string) (IndexName, bool) {
	channel, file, _ := strings.Cut(path, "/")
	name, ok := strings.CutSuffix(file, ".json")
	if !ok {
		return IndexName{}, false
	}
	p, err := release.ParsePlatform(strings.ReplaceAll(name, "-", "/"))
	n := IndexName{Channel: channel, Platform: p}
	return n, err == nil && release.IndexPath(channel, p) == path
}

// Index returns the index of a channel and platform as of the last Refresh, with the brake applied; it refreshes if there was none. An
// index that did not change costs no request.
func (c *Client) Index(ctx context.Context, channel string, p release.Platform) (*release.Index, error) {
	var ix *release.Index
	path := release.IndexPath(channel, p)
	err := c.do(ctx, func() (err error) {
		if c.trusted == nil {
			if err := c.refresh(ctx); err != nil {
				return err
			}
		}
		ix, err = c.index(ctx, path)
		return err
	})
	if err == nil && (ix.Channel != channel || ix.Platform != p || c.opts.App != "" && ix.App != c.opts.App) {
		err = fmt.Errorf("%w: it is of %s, %s, %s", ErrMalformed, ix.App, ix.Channel, ix.Platform)
	}
	if err != nil {
		return nil, c.failed(fmt.Errorf("index %s: %w", path, err))
	}
	return ix, nil
}

func (c *Client) index(ctx context.Context, path string) (*release.Index, error) {
	if err := checkFresh(c.trusted, c.now()); err != nil {
		return nil, err
	}
	t := c.trusted.Targets[metadata.TARGETS].Signed.Targets[path]
	if t == nil {
		return nil, ErrNoIndex
	}
	d, err := targetDigest(t)
	if err != nil {
		return nil, err
	}
	if t.Length > release.MaxIndexSize {
		return nil, fmt.Errorf("%d bytes: %w", t.Length, ErrOversized)
	}
	b, ok := c.cache.index(path, d, t.Length)
	if !ok {
		err := c.mirrors.each(ctx, func(base *url.URL) (err error) {
			b, err = c.getTarget(ctx, base, path, d, t.Length)
			return err
		})
		if err != nil {
			return nil, err
		}
		c.warn("keep feed index", c.cache.putIndex(path, b))
	}
	ix, err := release.ParseIndex(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	c.applyBrake(path, ix)
	return ix, nil
}

// getTarget fetches a small target from one mirror.
func (c *Client) getTarget(ctx context.Context, base *url.URL, path string, d release.Digest, length int64) ([]byte, error) {
	u := base.JoinPath(targetsDir, release.HashedPath(path, d)).String()
	f, err := c.web.Get(ctx, u, length, transfer.Validators{})
	switch {
	case err != nil:
		return nil, err
	case int64(len(f.Body)) < length:
		return nil, fmt.Errorf("get %s: %d of %d bytes: %w", transfer.Redact(u), len(f.Body), length, ErrTruncated)
	case sha256.Sum256(f.Body) != d:
		return nil, fmt.Errorf("get %s: %w", transfer.Redact(u), ErrDigestMismatch)
	}
	return f.Body, nil
}

// Expiries says until when each role's metadata is valid, as of the last Refresh: root, targets, snapshot, timestamp, and brake if
// there is one.
func (c *Client) Expiries() []Expiry {
	<-c.turn
	defer func() { c.turn <- struct{}{} }()
	if c.trusted == nil {
		return nil
	}
	return expiries(c.trusted)
}

// checkFresh looks at the dates again: a Client may be asked long after it refreshed.
func checkFresh(t *trustedmetadata.TrustedMetadata, now time.Time) error {
	for _, e := range expiries(t) {
		if now.After(e.Expires) {
			return fmt.Errorf("%s: %w since %s", e.Role, ErrExpired, e.Expires.Format(time.RFC3339))
		}
	}
	return nil
}

// indexFile is the cache's file for a target path.
func indexFile(dir, path string) string {
	return filepath.Join(dir, "index-"+strings.ReplaceAll(path, "/", "~")+".cache")
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
