package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/moult-go/moult/release/tuf"
)

// directory is a place on disk. Nothing outside of it can be reached, whatever the names say.
type directory struct{ dir string }

func (d *directory) String() string { return d.dir }

func (d *directory) open(_ context.Context, name string) (io.ReadCloser, error) {
	return d.openFile(name)
}

func (d *directory) openFile(name string) (*os.File, error) {
	root, err := os.OpenRoot(d.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.dir, err)
	}
	return f, nil
}

func (d *directory) size(_ context.Context, name string) (int64, error) {
	f, err := d.openFile(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (d *directory) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return nil, err
	}
	return tuf.Lock(ctx, d.dir)
}

func (d *directory) list(context.Context) (map[string]object, error) {
	all := make(map[string]object)
	err := fs.WalkDir(os.DirFS(d.dir), ".", func(name string, e fs.DirEntry, err error) error {
		if name == "." && errors.Is(err, fs.ErrNotExist) {
			return nil // it is made when something is put there
		}
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		if _, ok := classify(name); ok {
			info, err := e.Info()
			if err != nil {
				return err
			}
			all[name] = object{size: info.Size(), modified: info.ModTime()}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", d.dir, err)
	}
	return all, nil
}

// put writes beside and renames: what a reader or a power cut finds is the old file or the whole new one. The lock keeps
// others away; what an interrupted put left is overwritten by the next one of the same name.
func (d *directory) put(ctx context.Context, name string, src body, length int64, was *object) error {
	root, err := os.OpenRoot(d.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	dir := path.Dir(name)
	if err := root.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	temp := path.Join(dir, ".new-"+path.Base(name))
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, contextReader{ctx, src})
	if err == nil && n != length {
		err = fmt.Errorf("%d of %d bytes: %w", n, length, tuf.ErrTruncated)
	}
	if err == nil && was != nil {
		err = laterThan(root, temp, was.modified)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = root.Rename(temp, name)
	}
	if err != nil {
		root.Remove(temp)
		return fmt.Errorf("write %s in %s: %w", name, d.dir, err)
	}
	for ; ; dir = path.Dir(dir) { // the directories may be new as well
		if err := syncDir(root, dir); err != nil || dir == "." {
			return err
		}
	}
}

// laterThan gives a file another second than the one that it replaces. nginx and others make an ETag of time and length: with two timestamps
// in one second, servers would be told for ever that the first one has not changed.
func laterThan(root *os.Root, name string, old time.Time) error {
	next := old.Truncate(time.Second).Add(time.Second)
	if now := time.Now(); next.After(now) {
		return root.Chtimes(name, now, next)
	}
	return nil
}

func (d *directory) remove(_ context.Context, name string) error {
	root, err := os.OpenRoot(d.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return root.Remove(name)
}

// contextReader ends a long copy when its context does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// age is how long ago an object changed.
func (o object) age(now time.Time) time.Duration { return now.Sub(o.modified) }
