package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
)

// view is a feed as its readers see it, verified: from a directory, or from where it is served.
type view struct {
	where    string
	app      string
	expiries []tuf.Expiry
	indexes  []*release.Index
}

// viewFlags say from which root a feed is verified.
type viewFlags struct{ root, keys string }

func (v *viewFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&v.root, "root", "", "`file` with the root that the program embeds (of a directory: the root beside its keys)")
	cmd.Flags().StringVar(&v.keys, "keys", "", "`directory` of the keys (default DIR-keys)")
}

// open reads the feed at a URL or in a directory. A directory needs no key, and may be expired.
func (v *viewFlags) open(cmd *cobra.Command, where string) (*view, error) {
	if strings.Contains(where, "://") {
		root, err := v.readRoot("")
		if err != nil {
			return nil, err
		}
		if root == nil {
			return nil, &usageError{errors.New("--root is missing: what is served at a URL is verified from the root that the program embeds")}
		}
		return viewURL(cmd.Context(), where, root)
	}
	root, err := v.readRoot(where)
	if err != nil {
		return nil, err
	}
	if root == nil {
		warn(cmd, "%s is verified from its own first root: name the one that the program embeds by --root", where)
	}
	r, err := tuf.Inspect(where, root)
	if err != nil {
		return nil, err
	}
	return viewRepository(where, r)
}

// readRoot reads the root that was named, or the publisher's own copy of a directory's; nil if there is neither.
func (v *viewFlags) readRoot(dir string) ([]byte, error) {
	if v.root != "" {
		return os.ReadFile(v.root)
	}
	if dir == "" {
		return nil, nil
	}
	b, err := os.ReadFile(tuf.TrustedRootFile(dir, v.keys))
	if errors.Is(err, fs.ErrNotExist) && v.keys == "" {
		return nil, nil
	}
	return b, err
}

func viewRepository(where string, r *tuf.Repository) (*view, error) {
	indexes, err := r.Indexes()
	if err != nil {
		return nil, err
	}
	return &view{where: where, app: r.App(), expiries: r.Expiries(), indexes: indexes}, nil
}

func viewURL(ctx context.Context, url string, root []byte) (*view, error) {
	cache, err := os.MkdirTemp("", "moult-view-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(cache)
	c, err := tuf.NewClient(url, root, cache, tuf.ClientOptions{UserAgent: "moult"})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Refresh(ctx); err != nil {
		return nil, err
	}
	v := &view{where: url, expiries: c.Expiries()}
	for _, name := range c.Indexes() {
		ix, err := c.Index(ctx, name.Channel, name.Platform)
		if err != nil {
			return nil, err
		}
		v.app = ix.App
		v.indexes = append(v.indexes, ix)
	}
	return v, nil
}

// only returns the indexes of a channel and a platform, each "" for all.
func (v *view) only(channel, platform string) ([]*release.Index, error) {
	var some []*release.Index
	for _, ix := range v.indexes {
		if (channel == "" || ix.Channel == channel) && (platform == "" || ix.Platform.String() == platform) {
			some = append(some, ix)
		}
	}
	if len(some) == 0 && (channel != "" || platform != "") {
		return nil, fmt.Errorf("%s: channel %q, platform %q: %w", v.where, channel, platform, tuf.ErrNoIndex)
	}
	return some, nil
}
