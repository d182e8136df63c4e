package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
)

func newVerify() *cobra.Command {
	var rootFile, app string
	cmd := &cobra.Command{
		Use:   "verify URL|DIR",
		Short: "Read a feed as a server would, and check all of it",
		Long: `Read a feed with the client that servers use, an empty cache and the root that the program embeds. List channels and versions, and download and
check the newest artifact of each. A directory is served on a loopback port for that time: run it before the copy goes out.`,
		Example: "  moult verify https://example.com/hello --root root.json",
		Args:    nArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := need(cmd, "root"); err != nil {
				return err
			}
			root, err := os.ReadFile(rootFile)
			if err != nil {
				return err
			}
			r, err := verifyFeed(cmd.Context(), args[0], root, app)
			if err != nil {
				return err
			}
			return emit(cmd, r)
		},
	}
	cmd.Flags().StringVar(&rootFile, "root", "", "`file` with the root that the program embeds")
	cmd.Flags().StringVar(&app, "app", "", "`name` of the application that it must be")
	return cmd
}

// verifyFeed looks at the feed at a URL or in a directory.
func verifyFeed(ctx context.Context, where string, root []byte, app string) (r *verifyResult, err error) {
	if !strings.Contains(where, "://") {
		url, stop, err := serveDir(where)
		if err != nil {
			return nil, err
		}
		defer stop()
		r, err = verifyURL(ctx, url, root, app)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		return r, nil
	}
	return verifyURL(ctx, where, root, app)
}

// serveDir serves a directory on a loopback port until stop is called.
func serveDir(dir string) (url string, stop func(), err error) {
	root, err := openFeedDir(dir)
	if err != nil {
		return "", nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, errors.Join(err, root.Close())
	}
	srv := &http.Server{Handler: static{root}, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(ln) // ends by Close, and its error says no more than that
	}()
	return "http://" + ln.Addr().String(), func() { srv.Close(); <-done; root.Close() }, nil
}

func verifyURL(ctx context.Context, url string, root []byte, app string) (*verifyResult, error) {
	cache, err := os.MkdirTemp("", "moult-verify-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(cache)
	c, err := tuf.NewClient(url, root, cache, tuf.ClientOptions{App: app, UserAgent: "moult-verify"})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Refresh(ctx); err != nil {
		return nil, err
	}
	r := &verifyResult{Schema: schema, Expiries: c.Expiries(), Indexes: []verifiedIndex{}}
	seen := make(map[release.Digest]bool)
	for _, name := range c.Indexes() {
		ix, err := c.Index(ctx, name.Channel, name.Platform)
		if err != nil {
			return nil, err
		}
		if r.App != "" && ix.App != r.App {
			return nil, fmt.Errorf("index of %s beside one of %s: %w", ix.App, r.App, tuf.ErrMalformed)
		}
		r.App = ix.App
		v := verifiedIndex{IndexName: name, Releases: ix.Releases}
		if newest, err := ix.Latest(); err == nil {
			v.Checked = newest.Version
			if a := newest.Artifact.Full; !seen[a.SHA256] {
				if err := c.Fetch(ctx, a, io.Discard); err != nil {
					return nil, err
				}
				seen[a.SHA256] = true
			}
		}
		r.Indexes = append(r.Indexes, v)
	}
	return r, nil
}

type verifyResult struct {
	Schema   int             `json:"schema"`
	App      string          `json:"app,omitempty"`
	Indexes  []verifiedIndex `json:"indexes"`
	Expiries []tuf.Expiry    `json:"expiries"`
}

type verifiedIndex struct {
	tuf.IndexName
	Checked  release.Version   `json:"checked"` // the version whose artifact was downloaded
	Releases []release.Release `json:"releases"`
}

func (r *verifyResult) text(w io.Writer) {
	if len(r.Indexes) == 0 {
		fmt.Fprintln(w, "The feed verifies; nothing is published yet.")
	}
	for _, ix := range r.Indexes {
		var older []string
		for _, rel := range ix.Releases {
			if rel.Version.Compare(ix.Checked) != 0 {
				older = append(older, rel.Version.String())
			}
		}
		fmt.Fprintf(w, "%s %s %s: %s, downloaded and checked", r.App, ix.Channel, ix.Platform, ix.Checked)
		if len(older) > 0 {
			fmt.Fprintf(w, "; older: %s", strings.Join(older, ", "))
		}
		fmt.Fprintln(w)
	}
	for _, e := range r.Expiries {
		fmt.Fprintf(w, "%-9s version %-4d valid until %s\n", e.Role, e.Version, e.Expires.Local().Format(time.DateTime))
	}
}
