package tuf

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
)

// maxBehind is how many checks in a row may bring an older timestamp than the one that is trusted.
//
// That is what a replay looks like, and what a CDN looks like whose edges are not renewed together (fleetdm/fleet#14178: 4401
// after 4402). Either way nothing older is taken: the client keeps to what it has, as long as that is fresh. Only an edge that
// stays behind is worth an alarm.
const maxBehind = 5

const behindFile = "timestamp.behind"

// older reports whether the timestamp that was just fetched is older than the trusted one. go-tuf looks at versions after it
// looked at signatures, so that an older one was once published.
func (f *metadataFetcher) older(t *trustedmetadata.TrustedMetadata, err error) (got, have int64, older bool) {
	if !errors.Is(err, ErrRollback) || t == nil || t.Timestamp == nil {
		return 0, 0, false
	}
	m, err := metadata.Timestamp().FromBytes(f.body)
	if err != nil {
		return 0, 0, false
	}
	got, have = m.Signed.Version, t.Timestamp.Signed.Version
	return got, have, got < have
}

// behindError says that a mirror has an older timestamp than the trusted one.
type behindError struct {
	got, have int64
	cause     error
}

func (e *behindError) Error() string {
	return fmt.Sprintf("timestamp %d after %d: %v", e.got, e.have, e.cause)
}

func (e *behindError) Unwrap() error { return e.cause }

// keepTo verifies what the cache has, when no mirror has anything as new, or says that the feed has been behind for too long.
func (c *Client) keepTo(ctx context.Context, e *behindError, cause error) (*trustedmetadata.TrustedMetadata, error) {
	n := c.cache.behind() + 1
	c.warn("keep count of feed checks", c.cache.setBehind(n))
	if n > maxBehind {
		return nil, fmt.Errorf("in %d checks in a row: %w", n, cause)
	}
	root, err := c.cache.prepare()
	if err != nil {
		return nil, ofCache(err)
	}
	c.opts.Logger.Warn("feed is behind what was seen before", "version", e.got, "trusted", e.have, "checks", n)
	return c.walk(&metadataFetcher{ctx: ctx, c: c, settled: true}, c.mirrors.bases[0], root)
}

// behind is the number of checks in a row that brought an older timestamp. It is kept on disk as well: many programs live for
// one check only.
func (c *cache) behind() int {
	b, err := readCapped(c.path(behindFile), 16)
	if err != nil {
		return c.checksBehind
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(b))) // of what is no number, the one in memory stands
	return max(n, c.checksBehind)
}

func (c *cache) setBehind(n int) error {
	c.checksBehind = n
	if n == 0 {
		return removeFile(c.path(behindFile))
	}
	return replaceFile(c.path(behindFile), []byte(strconv.Itoa(n)+"\n"))
}
