package server

import (
	"sync"
	"time"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

// passage is what this process knows of the change under way: how far it is, and who is on the other side of a handover.
type passage struct {
	mu       sync.Mutex
	progress *updater.Event // the last one of an attempt that has not ended
	other    *admin.Handover
	ready    time.Time // when this process became ready, which is where its own probation begins
}

// note keeps the last event of an attempt; nil is its end.
func (g *passage) note(e *updater.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.progress = e
}

func (g *passage) becameReady() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ready = time.Now()
}

// step follows a handover to a successor. probation says how long that one will be watched, which depends on whether it is an update.
func (g *passage) step(e grace.Event, probation func(update bool) time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch e.Step {
	case grace.StepGreeted:
		if g.other != nil {
			g.other.Version = plain(e.Version)
		}
	case grace.StepSpawned:
		g.other = &admin.Handover{Generation: e.Generation, PID: e.PID, Since: e.Time}
	case grace.StepStandby:
		g.other = &admin.Handover{Generation: e.Generation, PID: e.PID, Version: plain(e.Version), Since: e.Time, Until: e.Time.Add(probation(g.progress != nil && g.progress.Attempt != ""))}
	case grace.StepCommitted, grace.StepRolledBack, grace.StepResurrected:
		g.other = nil
	}
}

// fill says in st what is under way. A process on probation knows its predecessor by its number, and takes it to be as patient as itself.
// Whether it is an update, it reads in the journal.
func (g *passage) fill(st *admin.Status, probation func(update bool) time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.progress != nil {
		e := *g.progress
		st.Progress = &e
	}
	switch {
	case st.State == grace.Probation.String() && !g.ready.IsZero():
		st.Handover = &admin.Handover{Generation: st.Generation - 1, Since: g.ready, Until: g.ready.Add(probation(st.Updater != nil && st.Updater.Attempt != nil))}
	case g.other != nil:
		h := *g.other
		st.Handover = &h
	}
}

// probation is how long a successor is watched: longer if it is an update.
func (r *runner) probation(update bool) time.Duration {
	d, otherwise := r.s.Probation, grace.DefaultProbation
	if update {
		d, otherwise = r.s.UpdateProbation, grace.DefaultUpdateProbation
	}
	if d == 0 {
		return otherwise
	}
	return d
}
