package updater

import (
	"maps"
	"time"
)

// tally is what became of all attempts that have ended here: it grows for as long as the state directory lives, while
// old lines of the history go. The zero value has counted nothing yet.
type tally struct {
	Outcomes    map[string]int `json:"outcomes"` // number of attempts
	LastSuccess time.Time      `json:"last_success,omitzero"`
}

// outcomes are all that an Attempt can have.
var outcomes = []string{outcomeCommitted, outcomeRolledBack, outcomeFailed, outcomeInterrupted}

// with is t and one attempt more. It shares nothing with t, which somebody may be reading.
func (t *tally) with(a Attempt) *tally {
	n := tally{Outcomes: map[string]int{}}
	if t != nil {
		n.LastSuccess = t.LastSuccess
		maps.Copy(n.Outcomes, t.Outcomes)
	}
	n.Outcomes[a.Outcome]++
	if a.Outcome == outcomeCommitted {
		n.LastSuccess = a.Ended
	}
	return &n
}

// tallyHistory counts what the history has, for a state file that was lost or that an earlier version wrote.
func (u *Updater) tallyHistory() *tally {
	t := &tally{}
	all, err := u.History()
	if err != nil {
		u.log.Warn("count the attempts that have ended", "err", err)
	}
	for _, a := range all {
		t = t.with(a)
	}
	return t
}

// counts returns the number of attempts by every outcome there is, and when the last one ended well.
func (t *tally) counts() (byOutcome map[string]int, lastSuccess time.Time) {
	if t == nil {
		t = &tally{}
	}
	byOutcome = map[string]int{}
	for _, o := range outcomes {
		byOutcome[o] = t.Outcomes[o]
	}
	return byOutcome, t.LastSuccess
}
