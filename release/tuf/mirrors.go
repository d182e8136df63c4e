package tuf

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"sync/atomic"
)

// mirrors are places that have the same feed. What a mirror says is worth no more than what a stranger says: it is verified, and one that
// cannot be reached, lacks a file, lags behind or lies costs its turn. The one that answered last is asked first.
type mirrors struct {
	bases []*url.URL
	log   *slog.Logger
	first atomic.Int32
}

func parseMirrors(urls []string) ([]*url.URL, error) {
	var bases []*url.URL
	for _, s := range urls {
		u, err := parseURL(s)
		if err != nil {
			return nil, err
		}
		bases = append(bases, u)
	}
	return bases, nil
}

// each calls f with one mirror after the other until it succeeds, and returns all that went wrong if none did. The cache's errors and the
// caller's cancellation are the same everywhere.
func (m *mirrors) each(ctx context.Context, f func(base *url.URL) error) error {
	var errs []error
	first := int(m.first.Load())
	for i := range m.bases {
		at := (first + i) % len(m.bases)
		err := guard(func() error { return f(m.bases[at]) })
		if err == nil {
			m.first.Store(int32(at))
			return nil
		}
		errs = append(errs, err)
		if errors.Is(err, ErrCache) || ctx.Err() != nil {
			break
		}
		if i+1 < len(m.bases) {
			m.log.Warn("feed mirror failed: asking the next", "err", err)
		}
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// next lets another mirror be asked first.
func (m *mirrors) next() { m.first.Store((m.first.Load() + 1) % int32(len(m.bases))) }

// urls is the address of a file on each mirror.
func (m *mirrors) urls(elem ...string) []string {
	var list []string
	first := int(m.first.Load())
	for i := range m.bases {
		list = append(list, m.bases[(first+i)%len(m.bases)].JoinPath(elem...).String())
	}
	return list
}
