package updater

import (
	"context"
	"time"
)

// Hold keeps newer versions from being applied, whoever asks, until somebody lets them go. It is kept on disk: it survives restarts,
// upgrades and rollbacks. Its idea is apt-mark's, and what Fedora CoreOS lacked: there a version that somebody had just rolled back came again.
type Hold struct {
	Reason string    `json:"reason,omitempty"`
	Until  time.Time `json:"until,omitzero"` // zero: until it is lifted
	By     string    `json:"by,omitempty"`   // who
	Since  time.Time `json:"since,omitzero"` // default: now
}

// maxHolder bounds what is kept of a holder's name, in bytes.
const maxHolder = 100

// holds reports whether h is one that has not ended.
func (h *Hold) holds(now time.Time) bool {
	return h != nil && (h.Until.IsZero() || now.Before(h.Until))
}

// String says since when, for how long, by whom and why.
func (h Hold) String() string {
	s := "updates are held since " + h.Since.UTC().Format(time.RFC3339)
	if !h.Until.IsZero() {
		s += " until " + h.Until.UTC().Format(time.RFC3339)
	}
	if h.By != "" {
		s += " by " + h.By
	}
	if h.Reason != "" {
		s += ": " + h.Reason
	}
	return s
}

// Hold keeps newer versions from being applied. Where there is a hold it is changed to h, and still counts from the time at which it
// began; h.Until must lie ahead. Without the lock it takes it for a moment.
func (u *Updater) Hold(h Hold) error {
	now := u.now()
	if !h.Until.IsZero() && !h.Until.After(now) {
		return fail(Usage, "bad-hold", "hold until %s: that is over", h.Until.UTC().Format(time.RFC3339))
	}
	h.Reason, h.By = printable(h.Reason, maxPublisher), printable(h.By, maxHolder)
	if h.Since.IsZero() || h.Since.After(now) {
		h.Since = now
	}
	return u.edit(func(s *state) error {
		if s.Hold.holds(now) {
			h.Since = s.Hold.Since
		}
		s.Hold = &h
		u.log.Info("updates are held", "reason", h.Reason, "until", h.Until, "by", h.By, "since", h.Since)
		return nil
	})
}

// Unhold lifts a hold. Where there is none that is well.
func (u *Updater) Unhold() error {
	return u.edit(func(s *state) error {
		if s.Hold != nil {
			u.log.Info("updates are no longer held", "reason", s.Hold.Reason, "since", s.Hold.Since)
		}
		s.Hold = nil
		return nil
	})
}

// edit changes the state file between two phases of an attempt, or while there is none. What cannot be written is not changed. Where another
// process holds the lock, it is that one which has to be asked.
func (u *Updater) edit(change func(*state) error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.held {
		u.mu.Unlock()
		once, cancel := context.WithCancel(context.Background())
		cancel()
		err := u.Lock(once)
		u.mu.Lock()
		if err != nil {
			return err
		}
		defer u.letGo()
	}
	before := *u.state
	err := change(u.state)
	if err == nil {
		err = u.save(true)
	}
	if err != nil {
		*u.state = before
	}
	return err
}
