package path

import (
	"context"
	"crypto/sha256"
	"io"
	"os"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/updater"
)

// read copies no more than most bytes of the file to dst, and returns their digest and what was read. It is opened once, and what is not the
// same before and after is no copy of anything.
func (s *Source) read(ctx context.Context, dst io.Writer, most int64) (identity, release.Digest, error) {
	f, err := os.OpenFile(s.file, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return identity{}, release.Digest{}, fail(updater.Temporary, "missing", "read %s: %w", s.file, err)
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return identity{}, release.Digest{}, fail(updater.Temporary, "missing", "read %s: %w", s.file, err)
	}
	if !before.Mode().IsRegular() {
		return identity{}, release.Digest{}, s.irregular()
	}
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(dst, h), &reader{ctx, io.LimitReader(f, most)}); err != nil {
		return identity{}, release.Digest{}, err
	}
	after, err := f.Stat()
	if err != nil {
		return identity{}, release.Digest{}, fail(updater.Temporary, "missing", "read %s: %w", s.file, err)
	}
	id := identify(s.file, after)
	if id != identify(s.file, before) {
		return identity{}, release.Digest{}, s.changing("it was written while it was read")
	}
	return id, release.Digest(h.Sum(nil)), nil
}

// digest hashes the file that the look l saw, once for each file that comes to rest.
func (s *Source) digest(ctx context.Context, l look) (release.Digest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.file == s.known {
		return s.sum, nil
	}
	now := time.Now()
	id, d, err := s.read(ctx, io.Discard, l.file.size+1)
	if err != nil {
		return d, err
	}
	if id.path = l.file.path; id != l.file {
		return d, s.changing("it was replaced while it was looked at")
	}
	if left(now, id.changed, s.rest) == 0 { // younger ones may change within one tick of their times
		s.known, s.sum = id, d
	}
	return d, nil
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
