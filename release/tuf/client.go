package tuf

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/moult-go/moult/release"
)

// ClientOptions adjusts a Client; the zero value is good.
type ClientOptions struct {
	App         string            // that an index must be of; "" accepts any
	UserAgent   string            // default "moult"
	Timeout     time.Duration     // of one metadata request; default 30 s
	StallWindow time.Duration     // an artifact that brings less than 1 KiB/s over this time is given up; default 60 s
	Transport   http.RoundTripper // default: a transport of its own, with the environment's proxies
	Logger      *slog.Logger      // default: discards
}

// Client reads a feed. Its methods may be called from several goroutines; Refresh and Index run one at a time.
type Client struct{}

// NewClient returns a client of the feed at url (http:// or https://), which holds metadata/ and targets/. root is the
// embedded first root; cacheDir keeps what was verified, below a directory named by the root's digest.
// It does not touch the network.
func NewClient(url string, root []byte, cacheDir string, o ClientOptions) (*Client, error) {
	panic("unwritten")
}

// Close drops idle connections. The client can still be used.
func (c *Client) Close() { panic("unwritten") }

// Refresh brings the trusted metadata up to date. When nothing changed it costs two requests.
func (c *Client) Refresh(ctx context.Context) error { panic("unwritten") }

// Index returns the index of a channel and platform as of the last Refresh; it refreshes if there was none.
func (c *Client) Index(ctx context.Context, channel string, p release.Platform) (*release.Index, error) {
	panic("unwritten")
}

// IndexName names an index of the feed.
type IndexName struct {
	Channel  string
	Platform release.Platform
}

// Indexes lists the channels and platforms that the feed has, as of the last Refresh, sorted.
func (c *Client) Indexes() []IndexName { panic("unwritten") }

// Fetch streams an artifact to dst: never more than a.Length bytes. It is an error if the feed has fewer, more or others;
// dst must then be thrown away.
func (c *Client) Fetch(ctx context.Context, a release.Artifact, dst io.Writer) error {
	panic("unwritten")
}
