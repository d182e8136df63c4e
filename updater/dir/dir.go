package dir

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/transfer"
	"github.com/moult-go/moult/updater"
	"github.com/moult-go/moult/updater/assets"
	"github.com/moult-go/moult/updater/file"
)

// DefaultInterval is the time between two checks.
const DefaultInterval = 6 * time.Hour

// Checksums is the name of the file that lists the others, on a web server.
const Checksums = "checksums.txt"

// Options says why the files may be trusted: by one of the first two.
type Options struct {
	MinisignKey      string // the publisher's public key, as minisign writes it
	ChecksumInsecure bool   // a checksum without a signature will do; see forge.Options

	Program string // base name of the executable, in archives and in file names; default: the application's name
	CAFile  string // PEM file of certificate authorities to trust beside the system's
}

// Source reads one directory.
type Source struct {
	location string
	o        Options

	mu      sync.Mutex
	client  *transfer.Client
	lengths map[string]int64 // of files, by address and digest of the checksums that named them
}

// New returns the source that reads the directory at location: a URL (http or https) or a path.
func New(location string, o Options) updater.Source {
	return &Source{location: location, o: o, lengths: map[string]int64{}}
}

func (s *Source) remote() bool {
	return strings.HasPrefix(s.location, "http://") || strings.HasPrefix(s.location, "https://")
}

// String names the directory, without a password.
func (s *Source) String() string {
	u, err := url.Parse(s.location)
	switch {
	case !s.remote():
		return "directory " + s.location
	case err != nil:
		return "directory (its address does not parse)"
	}
	return "directory " + u.Redacted()
}

// Key names the key that files are trusted by.
func (s *Source) Key() string { return release.MinisignKeyID(s.o.MinisignKey) }

// Interval is DefaultInterval.
func (s *Source) Interval() time.Duration { return DefaultInterval }

// File returns the source that offers the one file on disk at path, trusted by the same policy.
func (s *Source) File(path string) updater.Source {
	return file.New(path, file.Options{MinisignKey: s.o.MinisignKey, ChecksumInsecure: s.o.ChecksumInsecure, Program: s.o.Program})
}

// Check offers what the directory has for this host, if its version belongs to the channel.
func (s *Source) Check(ctx context.Context, q updater.Query) ([]updater.Candidate, error) {
	r, err := s.release(q)
	if err != nil {
		return nil, err
	}
	w := assets.Want{App: q.App, Program: s.o.Program, Platform: q.Platform, Trust: assets.Trust{MinisignKey: s.o.MinisignKey, ChecksumInsecure: s.o.ChecksumInsecure}}
	c, err := w.Candidate(ctx, r)
	switch {
	case errors.Is(err, assets.ErrNone):
		return nil, nil
	case err != nil:
		return nil, assets.Classify(err)
	case !assets.InChannel(c.Version, q.Channel):
		return nil, nil
	}
	return []updater.Candidate{c}, nil
}

func (s *Source) release(q updater.Query) (assets.Release, error) {
	if !s.remote() {
		return file.Dir(s.location)
	}
	base, err := url.Parse(s.location)
	if err != nil || base.Hostname() == "" || base.RawQuery != "" {
		return assets.Release{}, badOptions(errors.New("the address of a directory is not of the form https://HOST/PATH"))
	}
	c, err := s.open(q)
	if err != nil {
		return assets.Release{}, err
	}
	name := sha256.Sum256([]byte(s.location))
	cache := c.Cached(filepath.Join(q.CacheDir, "dir-"+release.Digest(name).Short()))
	return assets.Release{
		Checksums: Checksums,
		Read: func(ctx context.Context, name string, limit int64) ([]byte, error) {
			f, err := cache.Get(ctx, base.JoinPath(name).String(), limit)
			if errors.Is(err, transfer.ErrNotFound) {
				err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
			}
			return f.Body, err
		},
		Locate: func(ctx context.Context, name string) (assets.File, error) {
			return s.locate(ctx, c, name, base.JoinPath(name).String())
		},
	}, nil
}

// locate asks for a file's length, once for each file and process.
func (s *Source) locate(ctx context.Context, c *transfer.Client, name, at string) (assets.File, error) {
	s.mu.Lock()
	n := s.lengths[at]
	s.mu.Unlock()
	if n == 0 {
		var err error
		if n, err = c.Length(ctx, at); err != nil {
			return assets.File{}, err
		}
		s.mu.Lock()
		s.lengths[at] = n
		s.mu.Unlock()
	}
	return assets.File{Name: name, Path: at, Length: n}, nil
}

// Fetch streams a payload.
func (s *Source) Fetch(ctx context.Context, q updater.Query, p release.Payload, dst io.Writer) error {
	if !s.remote() {
		return file.Copy(ctx, p, dst)
	}
	c, err := s.open(q)
	if err != nil {
		return err
	}
	err = c.Download(ctx, []string{p.Path}, p.Length, p.SHA256, dst)
	if err != nil { // it may be another file by now
		s.mu.Lock()
		delete(s.lengths, p.Path)
		s.mu.Unlock()
	}
	return assets.Classify(err)
}

func (s *Source) open(q updater.Query) (*transfer.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		c, err := transfer.New(transfer.Options{UserAgent: "moult (" + q.App + ")", CAFile: s.o.CAFile})
		if err != nil {
			return nil, badOptions(err)
		}
		s.client = c
	}
	return s.client, nil
}

func badOptions(err error) error {
	return &updater.Error{Class: updater.Usage, Reason: "bad-options", Err: err}
}
