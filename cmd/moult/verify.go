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
		Long: `Read a feed with the client that servers use, an empty cache and the root that the program embeds. List channels and versions; download,
decode and check the newest artifact of each, by its full payload and by each delta that starts from a version which the feed still has. A directory is served on a loopback port for that time: run it before the copy goes out.`,
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
			bars := newStages(cmd)
			r, err := verifyFeed(cmd.Context(), args[0], root, app, bars.show)
			bars.end()
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
func verifyFeed(ctx context.Context, where string, root []byte, app string, show func(tuf.Progress)) (r *verifyResult, err error) {
	if !strings.Contains(where, "://") {
		url, stop, err := serveDir(where)
		if err != nil {
			return nil, err
		}
		defer stop()
		r, err = verifyURL(ctx, url, root, app, show)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		return r, nil
	}
	return verifyURL(ctx, where, root, app, show)
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

func verifyURL(ctx context.Context, url string, root []byte, app string, show func(tuf.Progress)) (*verifyResult, error) {
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
	x := newOffers(c, cache, show)
	for _, name := range c.Indexes() {
		ix, err := c.Index(ctx, name.Channel, name.Platform)
		if err != nil {
			return nil, err
		}
		if r.App != "" && ix.App != r.App {
			return nil, fmt.Errorf("index of %s beside one of %s: %w", ix.App, r.App, tuf.ErrMalformed)
		}
		r.App = ix.App
		x.learn(ix)
		r.Indexes = append(r.Indexes, verifiedIndex{IndexName: name, Releases: ix.Releases})
	}
	for i := range r.Indexes {
		if err := r.Indexes[i].check(ctx, x); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// check downloads and decodes the newest release of an index, by its full payload and by its deltas.
func (v *verifiedIndex) check(ctx context.Context, x *offers) error {
	newest, err := (&release.Index{Releases: v.Releases}).Latest()
	if err != nil {
		return nil // an empty index
	}
	v.Checked = newest.Version
	if _, err := x.full(ctx, newest.Artifact); err != nil {
		return err
	}
	v.Deltas, err = x.deltas(ctx, newest.Artifact)
	return err
}

type verifyResult struct {
	Schema   int             `json:"schema"`
	App      string          `json:"app,omitempty"`
	Indexes  []verifiedIndex `json:"indexes"`
	Expiries []tuf.Expiry    `json:"expiries"`
}

type verifiedIndex struct {
	tuf.IndexName
	Checked  release.Version   `json:"checked"` // the version whose artifact was downloaded and decoded
	Deltas   int               `json:"deltas"`  // of that version, applied to what they start from
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
		if ix.Deltas > 0 {
			fmt.Fprintf(w, ", with %d deltas", ix.Deltas)
		}
		if len(older) > 0 {
			fmt.Fprintf(w, "; older: %s", strings.Join(older, ", "))
		}
		fmt.Fprintln(w)
	}
	for _, e := range r.Expiries {
		fmt.Fprintf(w, "%-9s version %-4d valid until %s\n", e.Role, e.Version, e.Expires.Local().Format(time.DateTime))
	}
}
