package forge

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/moult-go/moult/release/transfer"
	"github.com/moult-go/moult/updater"
	"github.com/moult-go/moult/updater/assets"
)

// limitError says that a forge wants to be left alone for a while.
type limitError struct {
	err  error
	wait time.Duration
}

func (e *limitError) Error() string {
	return fmt.Sprintf("%v: its limit of requests is used up for %s", e.err, e.wait.Round(time.Second))
}
func (e *limitError) Unwrap() error { return e.err }

// RetryAfter is what the update loop waits for.
func (e *limitError) RetryAfter() time.Duration { return e.wait }

const (
	maxWait   = 24 * time.Hour
	shortWait = time.Minute // for a limit of which the forge does not say when it ends
)

// explain gives a failure its class and reason, and says what the status of an answer means on a forge.
func (s *Source) explain(err error) error {
	var known *updater.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	var h *transfer.HTTPError
	if errors.As(err, &h) {
		if wait, limited := limit(h, time.Now()); limited {
			return &updater.Error{Class: updater.Temporary, Reason: "rate-limit", Err: &limitError{err, wait}}
		}
		switch h.Status {
		case http.StatusUnauthorized, http.StatusForbidden:
			return &updater.Error{Class: updater.Permission, Reason: "token", Err: fmt.Errorf("%w: %s", err, s.advice())}
		case http.StatusNotFound:
			return &updater.Error{Class: updater.Temporary, Reason: "not-found", Err: fmt.Errorf("%w: it is not there, or %s", err, s.advice())}
		}
	}
	if _, ok := s.forge.(*gitlab); ok && errors.Is(err, transfer.ErrHTML) {
		return &updater.Error{Class: updater.Permission, Reason: "sign-in", Err: fmt.Errorf("%w: GitLab asks to sign in: %s", err, s.advice())}
	}
	return assets.Classify(err)
}

func (s *Source) advice() string {
	if s.o.anonymous() {
		return "the project is private and needs a token"
	}
	return "the token is not valid for it"
}

// limit tells an answer that means "too many requests" from one that means "no", and how long to wait: Retry-After, else the moment at
// which the limit is set back (seconds since 1970: X-RateLimit-Reset of GitHub and Gitea, RateLimit-Reset of GitLab), by the forge's own clock.
func limit(h *transfer.HTTPError, now time.Time) (time.Duration, bool) {
	first := func(names ...string) string {
		for _, n := range names {
			if v := h.Header.Get(n); v != "" {
				return v
			}
		}
		return ""
	}
	spent := first("X-RateLimit-Remaining", "RateLimit-Remaining") == "0"
	if h.Status != http.StatusTooManyRequests && (h.Status != http.StatusForbidden || !spent && h.Wait == 0) {
		return 0, false
	}
	if h.Wait > 0 {
		return h.Wait, true
	}
	reset, err := strconv.ParseInt(first("X-RateLimit-Reset", "RateLimit-Reset"), 10, 64)
	if err != nil || !spent {
		return shortWait, true
	}
	if date, err := http.ParseTime(h.Header.Get("Date")); err == nil {
		now = date
	}
	return min(max(time.Duration(min(reset-now.Unix(), int64(maxWait/time.Second)))*time.Second, shortWait), maxWait), true
}

func isTemporary(err error) bool {
	var known *updater.Error
	if errors.As(err, &known) {
		return known.Class == updater.Temporary
	}
	return errors.Is(err, transfer.ErrUnreachable) || isStatus(err, http.StatusForbidden) || isStatus(err, http.StatusTooManyRequests)
}
