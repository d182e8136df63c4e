// Command tufclient is the client under test of theupdateframework/tuf-conformance, the public suite for TUF clients: its command line over
// the verification that package release/tuf ships. It is built for that suite, and for our own tests, alone.
//
//	tufclient --metadata-dir DIR init ROOTFILE
//	tufclient --metadata-dir DIR --metadata-url URL refresh
//	tufclient --metadata-dir DIR --metadata-url URL --target-name PATH… --target-base-url URL --target-dir DIR download
//
// It exits with 0 or 1. The suite moves the time with faketime, which programs in Go do not notice: so the time is what the command
// date says. Nothing that is shipped may ask it.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
)

type client struct {
	metadataDir, metadataURL, targetURL, targetDir string

	targets []string
}

func main() {
	c := &client{}
	flag.StringVar(&c.metadataDir, "metadata-dir", "", "`directory` of the trusted metadata")
	flag.StringVar(&c.metadataURL, "metadata-url", "", "`URL` of the repository's metadata")
	flag.Func("target-name", "`path` of an artifact; repeatable", func(s string) error {
		c.targets = append(c.targets, s)
		return nil
	})
	flag.StringVar(&c.targetURL, "target-base-url", "", "`URL` of the repository's artifacts")
	flag.StringVar(&c.targetDir, "target-dir", "", "`directory` for downloaded artifacts")
	flag.CommandLine.Init(os.Args[0], flag.ContinueOnError)
	err := flag.CommandLine.Parse(os.Args[1:])
	if err == nil {
		err = c.run(context.Background(), flag.Args())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tufclient:", err)
		os.Exit(1)
	}
}

func (c *client) run(ctx context.Context, args []string) error {
	switch verb := strings.Join(args[:min(1, len(args))], ""); {
	case c.metadataDir == "":
		return errors.New("--metadata-dir is missing")
	case verb == "init" && len(args) == 2:
		root, err := os.ReadFile(args[1])
		if err != nil {
			return err
		}
		_, err = tuf.NewConformance(tuf.ConformanceOptions{MetadataDir: c.metadataDir, Root: root})
		return err
	case verb == "refresh" && len(args) == 1:
		_, err := c.refresh(ctx)
		return err
	case verb == "download" && len(args) == 1:
		return c.download(ctx)
	}
	return fmt.Errorf("init ROOTFILE, refresh or download, not %q", args)
}

func (c *client) refresh(ctx context.Context) (*tuf.Conformance, error) {
	now, err := date()
	if err != nil {
		return nil, err
	}
	x, err := tuf.NewConformance(tuf.ConformanceOptions{MetadataURL: c.metadataURL, MetadataDir: c.metadataDir, Now: now})
	if err != nil {
		return nil, err
	}
	return x, x.Refresh(ctx)
}

// date asks the command of that name, which may have been told another time than ours.
func date() (time.Time, error) {
	out, err := exec.Command("date", "+%s").Output()
	if err != nil {
		return time.Time{}, fmt.Errorf("date: %w", err)
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	return time.Unix(seconds, 0), err
}

func (c *client) download(ctx context.Context) error {
	x, err := c.refresh(ctx)
	if err != nil {
		return err
	}
	for _, path := range c.targets {
		p, err := x.Lookup(ctx, path)
		if err != nil {
			return err
		}
		if err := c.fetch(ctx, x, path, p); err != nil {
			return err
		}
	}
	return nil
}

// fetch stores an artifact under a name that is made of its path alone: paths may be of any form, and come back with other content.
func (c *client) fetch(ctx context.Context, x *tuf.Conformance, path string, p release.Payload) error {
	sum := sha256.Sum256([]byte(path))
	file := filepath.Join(c.targetDir, hex.EncodeToString(sum[:]))
	if d, n, err := release.DigestFile(file); err == nil && d == p.SHA256 && n == p.Length {
		return nil
	}
	f, err := os.CreateTemp(c.targetDir, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = x.Fetch(ctx, c.targetURL, p, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
