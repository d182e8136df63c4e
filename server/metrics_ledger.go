package server

import (
	"context"
	"sync"
	"time"

	"github.com/moult-go/moult/grace"
)

// ledger keeps the record of this process beside that of its predecessors, and passes on both together, so that what was counted
// survives a handover. Each fact is noted by one process, that which lives on with it: the phases of a handover by the predecessor, and what it
// notes after it has parked arrives when it has drained; that a handover is final by the successor. The idea of merging the counters of old and new is Envoy's.
type ledger struct {
	carried chan struct{} // closed when what the predecessor had at standby is here, or will never be

	mu     sync.Mutex
	own    record
	before record
	begun  time.Time     // of the phase under way
	last   string        // phase that the commit ends
	over   bool          // this process was replaced
	opened time.Time     // when this process began to accept
	gap    time.Duration // between the predecessor's last accept and that; negative: both accepted
}

func newLedger() *ledger {
	return &ledger{own: newRecord(), before: newRecord(), carried: make(chan struct{})}
}

// sum is the record of the line up to this process. Of the source it says what is known here, else what a predecessor knew.
func (l *ledger) sum(known sourceRecord) record {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := l.own.plus(l.before)
	if !known.LastAnswer.IsZero() {
		sum.Source = known
	}
	return sum
}

// predecessor is where the record comes from.
type predecessor interface {
	AtStart(context.Context) (record, bool)
	AtStandby(context.Context) (record, bool)
	AtEnd(context.Context) (record, bool)
}

// bequest is what a grace.Process has of its predecessor.
type bequest struct{ p *grace.Process }

func (b bequest) AtStart(ctx context.Context) (record, bool)   { return recordBlob.AtStart(ctx, b.p) }
func (b bequest) AtStandby(ctx context.Context) (record, bool) { return recordBlob.AtStandby(ctx, b.p) }
func (b bequest) AtEnd(ctx context.Context) (record, bool)     { return recordBlob.AtEnd(ctx, b.p) }

// inherit takes over what the predecessor has, each time more of it. It returns when that is gone, or ctx ends.
func (l *ledger) inherit(ctx context.Context, from predecessor) {
	if r, ok := from.AtStart(ctx); ok {
		l.follow(r)
	}
	if r, ok := from.AtStandby(ctx); ok {
		l.follow(r)
		l.measureGap(r.Parked)
	}
	close(l.carried)
	if r, ok := from.AtEnd(ctx); ok {
		l.follow(r)
	}
}

func (l *ledger) follow(r record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before = r
}

func (l *ledger) measureGap(parked time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !parked.IsZero() && !l.opened.IsZero() {
		l.gap = l.opened.Sub(parked)
	}
}

// handoverGap is how long nobody accepted at the handover to this process; false if there was none that could be measured.
func (l *ledger) handoverGap() (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.gap, 0), l.gap != 0
}

// event notes a step of a handover from, or to, this process.
func (l *ledger) event(e grace.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e.Step {
	case grace.StepAccepting:
		l.opened = e.Time
	case grace.StepSpawned:
		l.begun = e.Time.Add(-e.Took)
	case grace.StepGreeted:
		l.end(phaseStart, e.Time)
	case grace.StepStandby:
		l.end(phaseReady, e.Time)
		l.last, l.own.Parked = phaseProbation, e.Time
	case grace.StepCommitted: // the outcome is the successor's to note, as this process is heard of only when it has drained
		l.end(l.last, e.Time)
		l.over = true
	case grace.StepRolledBack:
		l.own.Handovers[handoverRolledBack]++
	case grace.StepResurrected:
		l.own.Handovers[handoverResurrected]++
		l.over = false
	case grace.StepDrained:
		if l.over { // else the whole service stops
			l.end(phaseDrain, e.Time)
			l.own.Connections[fateMoved] += e.Counts.Moved
			l.own.Connections[fateDrained] += e.Counts.Drained
			l.own.Connections[fateCut] += e.Counts.Cut
		}
	}
}

// active says that the handover to this process is final.
func (l *ledger) active() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.own.Handovers[handoverCommitted]++
}

// committing says that probation is over, and the commit begins.
func (l *ledger) committing() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end(phaseProbation, time.Now())
	l.last = phaseCommit
}

// end notes a phase, and begins the next. The caller holds mu.
func (l *ledger) end(phase string, at time.Time) {
	l.own.Phases[phase] = l.own.Phases[phase].with(at.Sub(l.begun))
	l.begun = at
}
