package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/moult-go/moult/release/tuf"
)

// place is where a feed lies: a directory, a bucket or a URL.
type place interface {
	// open reads a file of the feed. What is not there is fs.ErrNotExist.
	open(ctx context.Context, path string) (io.ReadCloser, error)
	// size says how long a file is, without reading it.
	size(ctx context.Context, path string) (int64, error)
	String() string
}

// store is a place that can be written to.
type store interface {
	place
	// lock keeps others from changing the feed, where the store knows how to; it makes the place ready for writing.
	lock(ctx context.Context) (unlock func(), err error)
	// list names the feed's files that are there.
	list(ctx context.Context) (map[string]object, error)
	// put writes a file in one step. was is what list said of it, nil if it was not there; if that has changed since, the store
	// keeps what it has and returns errChanged, if it can tell.
	put(ctx context.Context, path string, src body, length int64, was *object) error
	remove(ctx context.Context, path string) error
}

// object is a file in a store.
type object struct {
	size     int64
	tag      string // names the content; the store's own affair
	modified time.Time
}

// body is what is written: it may be read twice, if the first attempt fails.
type body interface {
	io.ReadSeeker
	io.ReaderAt
}

var (
	// errChanged says that somebody else writes to the same place.
	errChanged = errors.New("somebody else publishes there at the same time")
	// errDenied says that a store does not let us.
	errDenied = errors.New("access denied")
)

// placeFlags say how to reach a bucket. Its credentials are no flags: those are there for everybody to read.
type placeFlags struct {
	endpoint, region string
	pathStyle        bool
}

// place finds out what a name on the command line means.
func (f *placeFlags) place(name string) (place, error) {
	scheme, rest, ok := strings.Cut(name, "://")
	switch {
	case !ok:
		return &directory{dir: name}, nil
	case scheme == "s3":
		return newBucket(rest, *f)
	case scheme == "http" || scheme == "https":
		return newWebPlace(name)
	}
	return nil, &usageError{fmt.Errorf("%s: neither a directory nor s3://, http:// or https://", name)}
}

// reader reads small files of a place.
func reader(p place) tuf.ReadFunc {
	return func(ctx context.Context, path string, limit int64) ([]byte, error) {
		f, err := p.open(ctx, path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, limit+1))
		if err != nil {
			return nil, fmt.Errorf("read %s in %s: %w", path, p, err)
		}
		if int64(len(b)) > limit {
			return nil, fmt.Errorf("read %s in %s: more than %d bytes: %w", path, p, limit, tuf.ErrOversized)
		}
		return b, nil
	}
}

// received is what comes from a network: where it breaks off, it may be tried again.
type received struct{ io.ReadCloser }

func (r received) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: %w", tuf.ErrUnreachable, err)
	}
	return n, err
}

func notExist(p place, path string) error {
	return fmt.Errorf("%s in %s: %w", path, p, fs.ErrNotExist)
}
