package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
)

// lookAtFiles reads every file that the feed names, payloads too.
func (d *doctor) lookAtFiles(ctx context.Context) {
	if d.repo == nil {
		return
	}
	c, err := tuf.ReadContents(ctx, nil, func(_ context.Context, name string, limit int64) ([]byte, error) {
		return readAtMost(filepath.Join(d.dir, filepath.FromSlash(name)), limit)
	})
	if err != nil {
		d.failWith("files", err)
		return
	}
	named := make(map[string]bool)
	var bytes int64
	bad := 0
	for _, f := range c.Files() {
		named[f.Path] = true
		bytes += f.Length
		if f.Content != nil {
			continue
		}
		digest, n, err := release.DigestFile(filepath.Join(d.dir, filepath.FromSlash(f.Path)))
		switch {
		case err != nil:
			d.fail("files", "bring the file back from a copy of the feed, or publish a newer version", "%s: %v", f.Path, err)
			bad++
		case digest != f.SHA256 || n != f.Length:
			d.fail("files", "bring the file back from a copy of the feed, or publish a newer version", "%s is not what was signed", f.Path)
			bad++
		}
	}
	if bad == 0 {
		d.ok("files", "all %d are there, %s", len(named), sizeText(bytes))
	}
	d.lookAtRest(named)
}

// lookAtRest measures what lies in the feed's directories and is not named any more.
func (d *doctor) lookAtRest(named map[string]bool) {
	n, bytes := 0, int64(0)
	for _, half := range []string{"metadata", "targets"} {
		err := filepath.WalkDir(filepath.Join(d.dir, half), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			rel, err := filepath.Rel(d.dir, path)
			if err != nil || named[filepath.ToSlash(rel)] || strings.HasSuffix(rel, ".root.json") {
				return err
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil // a publisher at work
			}
			if err == nil {
				n, bytes = n+1, bytes+info.Size()
			}
			return err
		})
		if err != nil {
			d.failWith("rest", err)
			return
		}
	}
	if bytes > 1<<30 {
		d.warn("rest", "moult prune removes what no reader can ask for", "%d files that the feed does not name any more, %s", n, sizeText(bytes))
		return
	}
	d.ok("rest", "%d files that the feed does not name any more, %s", n, sizeText(bytes))
}

// readAtMost reads a file that must not be longer than limit.
func readAtMost(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = tuf.ErrOversized
	}
	return b, err
}
