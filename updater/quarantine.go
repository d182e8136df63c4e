package updater

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/moult-go/moult/release"
)

// failure counts the attempts with a build that failed without showing that the build is to blame.
type failure struct {
	Digest  release.Digest `json:"digest"`
	Version string         `json:"version"`
	Count   int            `json:"count"` // of those that count towards quarantine
	Tries   int            `json:"tries"` // all of them: they double the wait
	Until   time.Time      `json:"until"` // not tried again by itself before
	Since   time.Time      `json:"since,omitzero"`
}

// mostFailures is how many failed starts put a build into quarantine.
const mostFailures = 3

// The wait before a build that failed is tried again by itself: it begins with the interval between two
// checks or a maximum, and doubles.
const (
	maxFirstWait = 10 * time.Minute
	maxWait      = 6 * time.Hour
)

func (s *state) quarantined(d release.Digest) *Quarantined { return quarantined(s.Quarantine, d) }

func quarantined(list []Quarantined, d release.Digest) *Quarantined {
	if i := slices.IndexFunc(list, func(q Quarantined) bool { return q.Digest == d }); i >= 0 {
		return &list[i]
	}
	return nil
}

func (s *state) quarantine(b build, reason string, now time.Time) {
	if s.quarantined(b.Digest) == nil {
		s.Quarantine = append(s.Quarantine, Quarantined{b.Digest, b.Version, reason, now})
	}
	s.forgive(b.Digest)
}

// forgive forgets the failures of a build.
func (s *state) forgive(d release.Digest) {
	s.Failures = slices.DeleteFunc(s.Failures, func(f failure) bool { return f.Digest == d })
}

// release takes a build out of quarantine.
func (s *state) release(d release.Digest) {
	s.Quarantine = slices.DeleteFunc(s.Quarantine, func(q Quarantined) bool { return q.Digest == d })
}

func (s *state) failing(d release.Digest) *failure { return failing(s.Failures, d) }

func failing(list []failure, d release.Digest) *failure {
	if i := slices.IndexFunc(list, func(f failure) bool { return f.Digest == d }); i >= 0 {
		return &list[i]
	}
	return nil
}

// blame notes a failed attempt with b: it waits longer each time, with jitter, since a build that fails here fails on many hosts; and if
// the failure counts, the third one puts the build into quarantine.
func (s *state) blame(b build, counts bool, first time.Duration, now time.Time) {
	f := s.failing(b.Digest)
	if f == nil {
		s.Failures = append(s.Failures, failure{Digest: b.Digest, Version: b.Version})
		f = &s.Failures[len(s.Failures)-1]
	}
	if counts {
		f.Count++
	}
	if f.Count >= mostFailures {
		s.quarantine(b, "start failed 3 times", now)
		return
	}
	wait := min(min(first, maxFirstWait)<<min(f.Tries, 20), maxWait)
	f.Tries++
	f.Since, f.Until = now, now.Add(wait+rand.N(wait/4+1))
}

// shortestPrefix is how much of a digest, in hexadecimal digits, is enough to name a build.
const shortestPrefix = 6

// Unquarantine lets builds be tried again, and returns them: those of a version, that whose digest begins so (6 digits or more), or all of
// them, for "". Without the lock it takes it for a moment.
func (u *Updater) Unquarantine(which string) (cleared []Quarantined, err error) {
	err = u.edit(func(s *state) error {
		found, err := s.find(which)
		if err != nil {
			return err
		}
		s.Quarantine = slices.Clone(s.Quarantine)
		for _, q := range found {
			s.release(q.Digest)
			u.log.Info("cleared from quarantine", "version", q.Version, "digest", q.Digest.Short(), "was", q.Reason)
		}
		cleared = found
		return nil
	})
	if err != nil {
		return nil, err
	}
	return cleared, nil
}

// find returns the builds in quarantine that which names.
func (s *state) find(which string) ([]Quarantined, error) {
	if which == "" {
		return slices.Clone(s.Quarantine), nil
	}
	var byVersion, byDigest []Quarantined
	for _, q := range s.Quarantine {
		if sameVersion(q.Version, which) {
			byVersion = append(byVersion, q)
		}
		if len(which) >= shortestPrefix && strings.HasPrefix(q.Digest.String(), strings.ToLower(which)) {
			byDigest = append(byDigest, q)
		}
	}
	switch {
	case len(byVersion) > 0:
		return byVersion, nil
	case len(byDigest) > 1:
		return nil, fail(Usage, "ambiguous", "clear the quarantine: %d builds begin with %s: name more of the digest", len(byDigest), which)
	case len(byDigest) == 0:
		return nil, fail(Failed, "no-such-version", "clear the quarantine: no build of version %.80q, or with a digest that begins so, is in quarantine", which)
	}
	return byDigest, nil
}
