package main

import (
	"sync"
	"time"

	"github.com/moult-go/moult/grace/gracetest"
)

// audit notes what the clients saw.
type audit struct {
	bad     string // the version that crashes
	clients int    // each has at most one connection open
	began   time.Time

	report    gracetest.Report
	handovers []*handover

	mu      sync.Mutex
	lost    []gracetest.Answer
	served  map[string][]int // answers by version, in slots of time
	answers []answered
}

// handover is one of the story's.
type handover struct {
	from, to, why, outcome string

	begun     time.Time // fork
	accepting time.Time // the successor accepts
	ready     time.Time // READY arrived; the predecessor stands by
	ended     time.Time // committed, or the predecessor serves again
	drained   time.Time
}

// answered is kept to find the first answer after a moment.
type answered struct {
	version string
	at      time.Time
}

// slot is one character of the picture of who served when.
const slot = 500 * time.Millisecond

func newAudit(bad string) *audit {
	return &audit{bad: bad, began: time.Now(), served: map[string][]int{}}
}

// count is told of every request by the load's clients.
func (a *audit) count(r gracetest.Answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.Err != nil {
		a.lost = append(a.lost, r)
		return
	}
	v, at := r.Header.Get("X-Version"), r.Sent.Add(r.Took)
	i := int(at.Sub(a.began) / slot)
	for len(a.served[v]) <= i {
		a.served[v] = append(a.served[v], 0)
	}
	a.served[v][i]++
	a.answers = append(a.answers, answered{v, at})
}

func (a *audit) add(h *handover) { a.handovers = append(a.handovers, h) }

// nextAnswer is how long after t the first answer of a version came.
func (a *audit) nextAnswer(version string, t time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	best := time.Duration(-1)
	for _, x := range a.answers {
		if d := x.at.Sub(t); x.version == version && d >= 0 && (best < 0 || d < best) {
			best = d
		}
	}
	return max(best, 0)
}

// heldByBad reports whether a lost request was on a connection that the crashing version had accepted: its last answer came
// from there; or it had none yet, and was opened while no other version accepted.
func (a *audit) heldByBad(r gracetest.Answer) bool {
	if r.Before != nil {
		return r.Before.Get("X-Version") == a.bad
	}
	for _, h := range a.handovers {
		if h.to == a.bad && r.Dialed.After(h.accepting) && r.Dialed.Before(h.ended) {
			return true
		}
	}
	return false
}
