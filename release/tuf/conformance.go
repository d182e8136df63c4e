package tuf

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/transfer"
)

// Conformance drives the verification that Client has over any TUF repository, not only a feed: whatever roles delegate, with and
// without consistent snapshots, to an artifact of any name. It is for the suite with which TUF clients are compared, which runs
// testdata/tufclient; a program uses Client, which asks for less, and takes the time from nobody.
//
// Requests, limits, the form of files, go-tuf's guard and downloads are the Client's own. Two of its habits are left out: a timestamp that
// goes back is an error at once, and the one root that is kept is the newest, in root.json.
type Conformance struct {
	c   *Client
	url string
}

// ConformanceOptions says where a Conformance works.
type ConformanceOptions struct {
	// MetadataURL is the directory of the repository's metadata. It may be empty if nothing is asked for.
	MetadataURL string
	// MetadataDir keeps what is trusted, as it was received, one ROLE.json a role.
	MetadataDir string
	// Root is trusted from now on. Default: the newest one that the directory has, root.json.
	Root []byte
	// Now is the time at which metadata must not have expired. Default: the clock's.
	Now time.Time
	// Timeout is that of one metadata request; default 30 s.
	Timeout time.Duration
}

// NewConformance verifies the trusted root, by itself, and keeps it. It does not touch the network.
func NewConformance(o ConformanceOptions) (*Conformance, error) {
	x := &Conformance{url: o.MetadataURL, c: &Client{now: clock, cache: &cache{dir: o.MetadataDir, root: o.Root, log: slog.New(slog.DiscardHandler)}}}
	if !o.Now.IsZero() {
		x.c.now = func() time.Time { return o.Now }
	}
	var err error
	if o.Root == nil {
		if x.c.cache.root, err = x.root(); err != nil {
			return nil, err
		}
	}
	if err := checkFirstRoot(x.c.cache.root); err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	if o.Root != nil {
		if err := replaceFile(x.c.cache.path("root.json"), o.Root); err != nil {
			return nil, err
		}
	}
	x.c.web, err = transfer.New(transfer.Options{Timeout: o.Timeout})
	return x, err
}

// root is the newest trusted one.
func (x *Conformance) root() ([]byte, error) {
	return readCapped(x.c.cache.path("root.json"), limits[metadata.ROOT])
}

// Refresh brings the metadata of the top-level roles up to date.
func (x *Conformance) Refresh(ctx context.Context) error {
	root, err := x.c.cache.prepare()
	if err != nil {
		return ofCache(err)
	}
	f := &metadataFetcher{ctx: ctx, c: x.c}
	u, err := x.c.updater(f, x.url, root)
	if err != nil {
		return err
	}
	return f.guard(u.Refresh)
}

// Lookup finds an artifact in the metadata as of the last Refresh, and fetches that of the roles on the way to it. What it returns lies at
// its Path below the repository's targets.
//
// Each lookup verifies all of it again: one updater of go-tuf would take the metadata of a role that it knows for any delegator.
func (x *Conformance) Lookup(ctx context.Context, path string) (release.Payload, error) {
	root, err := x.root()
	if err != nil {
		return release.Payload{}, err
	}
	f := &metadataFetcher{ctx: ctx, c: x.c, settled: true}
	u, err := x.c.updater(f, x.url, root)
	if err != nil {
		return release.Payload{}, err
	}
	var found *metadata.TargetFiles
	err = f.guard(func() (err error) {
		found, err = u.GetTargetInfo(path)
		return err
	})
	if err != nil {
		return release.Payload{}, fmt.Errorf("look up %q: %w", path, err)
	}
	d, err := targetDigest(found)
	if err != nil {
		return release.Payload{}, fmt.Errorf("look up %q: %w", path, err)
	}
	p := release.Payload{Path: path, Length: found.Length, SHA256: d}
	if u.GetTrustedMetadataSet().Root.Signed.ConsistentSnapshot {
		p.Path = release.HashedPath(path, d)
	}
	return p, nil
}

// Fetch streams an artifact that Lookup found from below targetsURL.
func (x *Conformance) Fetch(ctx context.Context, targetsURL string, p release.Payload, dst io.Writer) error {
	if p.Length == 0 {
		if sha256.Sum256(nil) != p.SHA256 {
			return fmt.Errorf("%q: %w", p.Path, ErrDigestMismatch)
		}
		return nil
	}
	parts := strings.Split(p.Path, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	u := strings.TrimSuffix(targetsURL, "/") + "/" + strings.Join(parts, "/")
	return x.c.web.Download(ctx, []string{u}, p.Length, p.SHA256, dst)
}
