package tuf

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/moult-go/moult/release"
)

// minRate is the slowest download, in bytes a second over a stall window, that is not given up: a host that drips would else
// hold an update for ever.
const minRate = 1 << 10

var errStalled = errors.New("too slow")

// Fetch streams a payload to dst: never more than p.Length bytes. It is an error if the feed has fewer, more or others;
// dst must then be thrown away.
func (c *Client) Fetch(ctx context.Context, p release.Payload, dst io.Writer) error {
	if err := p.Check(); err != nil {
		return fmt.Errorf("fetch payload: %w: %w", ErrMalformed, err)
	}
	u := c.base.JoinPath(targetsDir, release.HashedPath(p.Path, p.SHA256)).String()
	if err := c.fetch(ctx, u, p, dst); err != nil {
		return fmt.Errorf("fetch payload %s: %w", p.Path, err)
	}
	return nil
}

func (c *Client) fetch(ctx context.Context, u string, p release.Payload, dst io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := watch(c.opts.StallWindow, cancel)
	defer w.stop()
	res, err := c.open(ctx, u, "")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	switch n := res.ContentLength; {
	case n > p.Length:
		return fmt.Errorf("get %s: %d bytes for %d: %w", redact(u), n, p.Length, ErrOversized)
	case n >= 0 && n < p.Length:
		return fmt.Errorf("get %s: %d bytes for %d: %w", redact(u), n, p.Length, ErrTruncated)
	}
	h := sha256.New()
	src := io.TeeReader(io.LimitReader(res.Body, p.Length), w)
	n, err := io.Copy(splitter{dst, h}, src)
	var local *writeError
	switch {
	case errors.As(err, &local):
		return local.err
	case err != nil:
		return broken(ctx, redact(u), err)
	case n < p.Length:
		return fmt.Errorf("get %s: %d of %d bytes: %w", redact(u), n, p.Length, ErrTruncated)
	}
	if more, _ := io.ReadFull(res.Body, make([]byte, 1)); more > 0 {
		return fmt.Errorf("get %s: more than %d bytes: %w", redact(u), p.Length, ErrOversized)
	}
	if d := release.Digest(h.Sum(nil)); d != p.SHA256 {
		return fmt.Errorf("get %s: %w: %s", redact(u), ErrDigestMismatch, d)
	}
	return nil
}

// splitter writes to the caller's writer and to the hash, and marks the caller's errors as local: a full disk is not the network.
type splitter struct{ dst, hash io.Writer }

func (s splitter) Write(p []byte) (int, error) {
	n, err := s.dst.Write(p)
	s.hash.Write(p[:n])
	if err != nil {
		err = &writeError{err}
	}
	return n, err
}

type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }

// stallWatch gives a download up when it brings less than minRate over a window. It counts what is written to it.
type stallWatch struct {
	n    atomic.Int64
	done chan struct{}
	over chan struct{}
}

func watch(window time.Duration, giveUp context.CancelCauseFunc) *stallWatch {
	w := &stallWatch{done: make(chan struct{}), over: make(chan struct{})}
	go func() {
		defer close(w.over)
		tick := time.NewTicker(window)
		defer tick.Stop()
		for {
			select {
			case <-w.done:
				return
			case <-tick.C:
				if float64(w.n.Swap(0)) < minRate*window.Seconds() {
					giveUp(errStalled)
					return
				}
			}
		}
	}()
	return w
}

func (w *stallWatch) stop() {
	close(w.done)
	<-w.over
}

func (w *stallWatch) Write(p []byte) (int, error) {
	w.n.Add(int64(len(p)))
	return len(p), nil
}
