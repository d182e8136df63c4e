package feed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/moult-go/moult/release"
	_ "github.com/moult-go/moult/release/payload" // its formats
	"github.com/moult-go/moult/release/tuf"
	"github.com/moult-go/moult/updater"
)

// DefaultInterval is the time between two checks.
const DefaultInterval = 6 * time.Hour

// Source reads one feed.
type Source struct {
	url  string
	root []byte
	o    Options

	mu     sync.Mutex
	client *tuf.Client // made by the first use: the cache is named by the Query
}

// New returns the source that reads the feed at url (http or https), trusting root: the file that
// `moult init` says to embed.
func New(url string, root []byte) updater.Source { return NewWith(url, root, Options{}) }

// Options says how else a feed is reached; the zero value is that of New.
type Options struct {
	// Mirrors are further URLs that have the same feed, metadata and payloads. They need not be trusted. When one cannot be reached, or is
	// behind or wrong, the next is asked; the one that answered last is asked first.
	Mirrors []string
	// CAFile names a PEM file of certificate authorities to trust beside the system's.
	CAFile string
}

// NewWith is New with options. What is wrong with them is the error of the first check.
func NewWith(url string, root []byte, o Options) updater.Source {
	return &Source{url: url, root: root, o: o}
}

// String names the feed, without a password.
func (s *Source) String() string {
	u, err := url.Parse(s.url)
	if err != nil {
		return "feed (its address does not parse)"
	}
	return "feed " + u.Redacted()
}

// Interval is DefaultInterval.
func (s *Source) Interval() time.Duration { return DefaultInterval }

func (s *Source) open(q updater.Query) (*tuf.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, nil
	}
	c, err := tuf.NewClient(s.url, s.root, q.CacheDir, tuf.ClientOptions{
		App: q.App, UserAgent: "moult (" + q.App + ")", Mirrors: s.o.Mirrors, CAFile: s.o.CAFile, Logger: q.Logger,
	})
	if err != nil {
		return nil, &updater.Error{Class: updater.Usage, Reason: "bad-options", Err: err}
	}
	s.client = c
	return c, nil
}

// Check refreshes the trusted metadata and returns the releases of the channel's index, and of those for lesser variants of the
// platform. A channel in which nothing was published for it offers nothing.
func (s *Source) Check(ctx context.Context, q updater.Query) ([]updater.Candidate, error) {
	c, err := s.open(q)
	if err != nil {
		return nil, err
	}
	if err := c.Refresh(ctx); err != nil {
		return nil, classify(err)
	}
	var offered []updater.Candidate
	for _, p := range q.Platform.Fallbacks() {
		for _, e := range c.Expiries() {
			if q.Logger != nil && e.EndsSoon(time.Now()) {
				q.Logger.Warn("the feed expires soon: its publisher has to renew it", "role", e.Role, "expires", e.Expires)
			}
		}
		ix, err := c.Index(ctx, q.Channel, p)
		if errors.Is(err, tuf.ErrNoIndex) {
			continue
		}
		if err != nil {
			return nil, classify(err)
		}
		offered = offer(offered, ix)
	}
	return offered, nil
}

// Expiries says until when each role's metadata is valid, and who signs it, as of the last Check.
func (s *Source) Expiries() (list []updater.Expiry) {
	s.mu.Lock()
	c := s.client
	s.mu.Unlock()
	if c == nil {
		return nil
	}
	for _, e := range c.Expiries() {
		list = append(list, updater.Expiry{Role: e.Role, Version: e.Version, Expires: e.Expires, EndsSoon: e.EndsSoon(time.Now()),
			Keys: e.Keys, Threshold: e.Threshold})
	}
	return list
}

// offer adds the releases of an index, but for versions that a better variant has already: when a publisher no longer builds that variant, its
// hosts go on with the next one.
func offer(offered []updater.Candidate, ix *release.Index) []updater.Candidate {
	better := len(offered)
	for _, r := range ix.Releases {
		if slices.ContainsFunc(offered[:better], func(c updater.Candidate) bool { return c.Version.Compare(r.Version) == 0 }) {
			continue
		}
		offered = append(offered, updater.Candidate{
			Version:  r.Version,
			Platform: ix.Platform,
			Length:   r.Artifact.Length,
			Digest:   r.Artifact.SHA256,
			Notes:    r.Notes,
			Channel:  ix.Channel,
			Full:     r.Artifact.Full,
			Deltas:   r.Artifact.Deltas,
			Minimum:  r.Minimum,
			Critical: r.Critical,
			Rollout:  r.Rollout,
			Halted:   r.Halted,
			Yanked:   r.Yanked,
		})
	}
	return offered
}

// Fetch streams a payload. It goes on where dst stops, if dst is a transfer.Sink, as the Updater's is.
func (s *Source) Fetch(ctx context.Context, q updater.Query, p release.Payload, dst io.Writer) error {
	client, err := s.open(q)
	if err != nil {
		return err
	}
	err = client.Fetch(ctx, p, dst)
	if err != nil {
		return classify(err)
	}
	return nil
}

// kinds is what each failure of the client means here; the first that matches counts.
var kinds = []struct {
	is     error
	class  updater.Class
	reason string
}{
	{tuf.ErrCache, updater.Temporary, "cache"},
	{tuf.ErrExpired, updater.Verification, "expired"},
	{tuf.ErrBadSignature, updater.Verification, "bad-signature"},
	{tuf.ErrRollback, updater.Verification, "rollback"},
	{tuf.ErrUnreachable, updater.Temporary, "network"},
	{tuf.ErrHTML, updater.Temporary, "wrong-type"},
	{tuf.ErrNotFound, updater.Temporary, "not-found"},
	{tuf.ErrDigestMismatch, updater.Verification, "digest-mismatch"},
	{tuf.ErrTruncated, updater.Verification, "truncated"},
	{tuf.ErrOversized, updater.Verification, "too-long"},
	{tuf.ErrMalformed, updater.Verification, "bad-metadata"},
}

func classify(err error) error {
	for _, k := range kinds {
		if errors.Is(err, k.is) {
			return &updater.Error{Class: k.class, Reason: k.reason, Err: err}
		}
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &updater.Error{Class: updater.Temporary, Reason: "network", Err: fmt.Errorf("unexpected: %w", err)}
}
