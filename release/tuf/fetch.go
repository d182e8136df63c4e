package tuf

import (
	"context"
	"fmt"
	"io"

	"github.com/moult-go/moult/release"
)

// Fetch streams a payload to dst, from whichever mirror has it: never more than p.Length bytes. It is an error if none has these very
// bytes; dst must then be thrown away, unless it is a transfer.Sink, which the next Fetch resumes.
func (c *Client) Fetch(ctx context.Context, p release.Payload, dst io.Writer) error {
	if err := p.Check(); err != nil {
		return fmt.Errorf("fetch payload: %w: %w", ErrMalformed, err)
	}
	urls := c.mirrors.urls(targetsDir, release.HashedPath(p.Path, p.SHA256))
	if err := c.web.Download(ctx, urls, p.Length, p.SHA256, dst); err != nil {
		return fmt.Errorf("fetch payload %s: %w", p.Path, err)
	}
	return nil
}
