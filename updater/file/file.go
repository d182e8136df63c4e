package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/updater"
	"github.com/moult-go/moult/updater/assets"
)

// Options says why a file may be trusted: by one of the first two.
type Options struct {
	MinisignKey      string // the publisher's public key, as minisign writes it
	ChecksumInsecure bool   // a checksum beside the file will do; see forge.Options

	Program string // base name of the executable in an archive; default: the application's name
}

// Source offers one file.
type Source struct {
	path string
	o    Options
}

// New returns the source that offers the file at path.
func New(path string, o Options) updater.Source { return &Source{path, o} }

// String names the file.
func (s *Source) String() string { return "file " + s.path }

// Key names the key that files are trusted by.
func (s *Source) Key() string { return release.MinisignKeyID(s.o.MinisignKey) }

// Interval is an hour: a file that is offered once is not expected to change.
func (s *Source) Interval() time.Duration { return time.Hour }

// File returns the source that offers another file, trusted by the same policy.
func (s *Source) File(path string) updater.Source { return New(path, s.o) }

// Check offers the file if it may be trusted.
func (s *Source) Check(ctx context.Context, q updater.Query) ([]updater.Candidate, error) {
	r, err := Dir(filepath.Dir(s.path))
	if err != nil {
		return nil, err
	}
	w := assets.Want{App: q.App, Program: s.o.Program, Platform: q.Platform, Trust: assets.Trust{MinisignKey: s.o.MinisignKey, ChecksumInsecure: s.o.ChecksumInsecure}}
	c, err := w.File(ctx, r, filepath.Base(s.path))
	if err != nil {
		return nil, assets.Classify(err)
	}
	return []updater.Candidate{c}, nil
}

// Fetch copies the file.
func (s *Source) Fetch(ctx context.Context, _ updater.Query, p release.Payload, dst io.Writer) error {
	return Copy(ctx, p, dst)
}

// mostFiles is how many files a directory of releases may have.
const mostFiles = 10_000

// Dir is the release whose files lie in a directory.
func Dir(dir string) (assets.Release, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return assets.Release{}, missing(err)
	}
	if len(entries) > mostFiles {
		return assets.Release{}, fail(updater.Verification, "bad-metadata", "%s has %d files: that is no directory of a release", dir, len(entries))
	}
	r := assets.Release{Files: []assets.File{}}
	for _, e := range entries {
		if !e.IsDir() {
			r.Files = append(r.Files, assets.File{Name: e.Name()})
		}
	}
	r.Read = func(_ context.Context, name string, limit int64) ([]byte, error) {
		return read(filepath.Join(dir, name), limit)
	}
	r.Locate = func(_ context.Context, name string) (assets.File, error) {
		file := filepath.Join(dir, name)
		fi, err := regular(file)
		if err != nil {
			return assets.File{}, err
		}
		return assets.File{Name: name, Path: file, Length: fi.Size()}, nil
	}
	return r, nil
}

// regular follows links: whoever names a file may mean where it leads.
func regular(file string) (os.FileInfo, error) {
	fi, err := os.Stat(file)
	if err == nil && !fi.Mode().IsRegular() {
		return nil, fail(updater.Verification, "not-executable", "%s is not a regular file", file)
	}
	return fi, err
}

func read(file string, limit int64) ([]byte, error) {
	if _, err := regular(file); err != nil {
		return nil, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fail(updater.Verification, "too-long", "%s is longer than %d bytes", file, limit)
	}
	return b, err
}

// Copy writes the payload at p.Path on disk to dst.
func Copy(ctx context.Context, p release.Payload, dst io.Writer) error {
	if _, err := regular(p.Path); err != nil {
		return missing(err)
	}
	f, err := os.Open(p.Path)
	if err != nil {
		return missing(err)
	}
	defer f.Close()
	_, err = io.Copy(dst, &reader{ctx, io.LimitReader(f, p.Length)})
	return err
}

// reader ends with its context.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

func missing(err error) error {
	var known *updater.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, fs.ErrPermission):
		return fail(updater.Permission, "io", "%w", err)
	}
	return fail(updater.Temporary, "not-found", "%w", err)
}

func fail(c updater.Class, reason, format string, args ...any) error {
	return &updater.Error{Class: c, Reason: reason, Err: fmt.Errorf(format, args...)}
}
