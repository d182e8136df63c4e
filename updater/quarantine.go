package updater

import (
	"slices"
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

// blame notes a failed attempt with b: it waits longer each time, and if the failure counts, the third one
// puts the build into quarantine.
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
	wait := min(first, maxFirstWait) << min(f.Tries, 20)
	f.Tries++
	f.Until = now.Add(min(wait, maxWait))
}

// Unquarantine lets a build be tried again. It needs the lock.
func (u *Updater) Unquarantine(d release.Digest) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.held {
		return fail(Busy, "busy", "clear the quarantine: the update lock is not held")
	}
	u.state.release(d)
	return u.save(true)
}
