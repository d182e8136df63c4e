package tuf

import (
	"context"
	"fmt"
	"net/url"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/transfer"
)

// refreshBrake brings the brake up to date with trusted metadata and returns it; nil if targets delegate none. A brake that did
// not change costs no request; one that is delegated and cannot be had is an error, or whoever stands in the way could release it.
//
// go-tuf's own walk through delegations is not used: it would follow those of the role itself, and keep their metadata under
// any name that they have.
func (c *Client) refreshBrake(ctx context.Context, base *url.URL, t *trustedmetadata.TrustedMetadata) (*release.Brake, error) {
	role, err := brakeDelegation(t)
	if err != nil || role == nil {
		return nil, err
	}
	if err := c.brakeMetadata(ctx, base, t); err != nil {
		return nil, err
	}
	f, d, err := brakeTarget(t)
	if err != nil {
		return nil, err
	}
	b, ok := c.cache.index(release.BrakePath, d, f.Length)
	if !ok {
		if b, err = c.getTarget(ctx, base, release.BrakePath, d, f.Length); err != nil {
			return nil, err
		}
		if err := c.cache.putIndex(release.BrakePath, b); err != nil {
			c.opts.Logger.Warn("keep feed brake", "err", err)
		}
	}
	k, err := release.ParseBrake(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if c.opts.App != "" && k.App != c.opts.App {
		return nil, fmt.Errorf("%w: it is of %s", ErrMalformed, k.App)
	}
	return k, nil
}

// brakeMetadata adds the metadata of the brake's role to t: the cached one if it is what the snapshot asks for.
func (c *Client) brakeMetadata(ctx context.Context, base *url.URL, t *trustedmetadata.TrustedMetadata) error {
	meta, err := brakeMeta(t)
	if err != nil {
		return err
	}
	update := func(b []byte) error {
		return guard(func() error {
			_, err := t.UpdateDelegatedTargets(b, brakeRole, metadata.TARGETS)
			return err
		})
	}
	file := c.cache.path(brakeRole + ".json")
	if b, err := readCapped(file, maxBrakeMetadata); err == nil && update(b) == nil {
		return nil
	}
	limit := meta.Length
	if limit == 0 {
		limit = maxBrakeMetadata
	}
	u := base.JoinPath(metadataDir, versioned(meta.Version, brakeRole)).String()
	f, err := c.web.Get(ctx, u, limit, transfer.Validators{})
	if err != nil {
		return err
	}
	err = wellFormed(brakeRole, f.Body)
	if err == nil {
		err = update(f.Body)
	}
	if err != nil {
		return fmt.Errorf("get %s: %w", transfer.Redact(u), err)
	}
	if err := replaceFile(file, f.Body); err != nil {
		c.opts.Logger.Warn("keep feed brake", "err", err)
	}
	return nil
}
