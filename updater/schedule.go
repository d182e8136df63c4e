package updater

import (
	"math/rand/v2"
	"time"
)

// Schedule says when a host checks. It keeps nothing and draws from the rng that it is given, so that a simulation of many hosts
// runs the very code that a server runs. Everything has jitter: hosts that were started, or told something, at one moment must not come
// back at one moment.
type Schedule struct {
	Interval time.Duration // between two checks, on average
}

// firstRetry is where the wait after a check that brought no answer begins; it doubles.
const firstRetry = time.Minute

// leastWait keeps a loop that has nothing to wait for from spinning.
const leastWait = 10 * time.Millisecond

// First is the wait before the first check: up to an interval, every part of it as likely as the others.
func (s Schedule) First(r *rand.Rand) time.Duration {
	return time.Duration(r.Int64N(int64(s.Interval) + 1))
}

// maxRetryAfter is the longest wait that a server is granted.
const maxRetryAfter = 24 * time.Hour

// after is the wait that a server has asked for: never less, and up to a quarter, or a minute, more. It has said the same to many hosts.
func (s Schedule) after(r *rand.Rand, d time.Duration) time.Duration {
	return d + time.Duration(r.Int64N(int64(max(d/4, firstRetry))+1))
}

// retryAfter is the longest wait that a server has asked for, in any error of the chain or tree of err: one with a method
// RetryAfter() time.Duration. It is at most a day, and 0 if none did.
func retryAfter(err error) (d time.Duration) {
	if e, ok := err.(interface{ RetryAfter() time.Duration }); ok {
		d = e.RetryAfter()
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		d = max(d, retryAfter(e.Unwrap()))
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			d = max(d, retryAfter(one))
		}
	}
	return min(d, maxRetryAfter)
}

// Wait is the time from a check to the next one: an interval or, where that is sooner, until the host's turn in a rollout comes (the
// zero Time: none is awaited), or until the next try after so many checks in a row that brought no answer.
func (s Schedule) Wait(r *rand.Rand, now, turn time.Time, failed int) time.Duration {
	wait := s.next(r)
	if failed > 0 {
		wait = min(wait, s.retry(r, failed))
	}
	if !turn.IsZero() {
		wait = min(wait, s.turn(r, turn.Sub(now)))
	}
	return wait
}

// next is the wait after a check: nine to eleven tenths of the interval.
func (s Schedule) next(r *rand.Rand) time.Duration {
	return time.Duration(float64(s.Interval) * (0.9 + 0.2*r.Float64()))
}

// retry is the wait after the given number of checks in a row that brought no answer: up to a minute, two, four, and so on
// to an interval, every part of that as likely as the others.
func (s Schedule) retry(r *rand.Rand, failed int) time.Duration {
	most := min(firstRetry<<min(max(failed-1, 0), 20), s.Interval)
	return max(time.Duration(r.Int64N(int64(most)+1)), leastWait)
}

// turn is the wait of a host whose share of a rollout comes after d: never less, and up to a tenth of an interval more, since a curve
// with steps gives many hosts the same instant.
func (s Schedule) turn(r *rand.Rand, d time.Duration) time.Duration {
	return max(d, leastWait) + time.Duration(r.Int64N(int64(s.Interval)/10+1))
}

// opening is the wait of a host whose window opens after d, and stays open for length: never less, and up to a tenth of an interval more, or half of
// the window where that is less.
func (s Schedule) opening(r *rand.Rand, d, length time.Duration) time.Duration {
	return max(d, leastWait) + time.Duration(r.Int64N(int64(min(s.Interval/10, length/2))+1))
}
