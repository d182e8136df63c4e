package page

import (
	"fmt"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

// phaseDrain is the last step of the flow, which is grace's and not the updater's.
const phaseDrain updater.Phase = "drain"

// phases is the way of an update.
var phases = []updater.Phase{
	updater.PhaseCheck, updater.PhaseFetch, updater.PhaseVerify, updater.PhaseStage, updater.PhaseProve,
	updater.PhaseHandover, updater.PhaseProbation, updater.PhaseCommit, phaseDrain,
}

// mark says how a step of the flow stands.
type mark string

const (
	ahead   mark = ""
	done    mark = "done"
	current mark = "current"
	broken  mark = "failed"
	skipped mark = "skipped"
)

// step is one of the flow.
type step struct {
	Name updater.Phase
	Mark mark
}

// Word is Mark for those who do not see it.
func (s step) Word() string {
	if s.Mark == current {
		return "now"
	}
	return string(s.Mark)
}

// flow is where the update under way is, or how the last one ended.
type flow struct {
	Steps []step
	Kind  string // upgrade, rollback, restart
	From  string
	To    string
	At    updater.Phase // lit; "" if nothing is under way
	// Done and Total are bytes of the current step, 0 if unknown.
	Done, Total int64
	Ended       *updater.Attempt // the last attempt, if nothing is under way
}

// journal says which step an attempt is at, by the phase of the journal: for what another process of this line has begun.
var journal = map[string]updater.Phase{
	"staged": updater.PhaseProve, "proven": updater.PhaseHandover, "handing-over": updater.PhaseHandover,
	"probation": updater.PhaseProbation, "committing": updater.PhaseCommit, "committed": updater.PhaseCommit, "rolling-back": updater.PhaseProbation,
}

// newFlow reads the flow out of a status.
func newFlow(st admin.Status) flow {
	f := flow{At: at(st)}
	u := st.Updater
	switch {
	case u != nil && u.Attempt != nil:
		f.Kind, f.From, f.To = kindOf(u.Attempt), u.Attempt.From, u.Attempt.To
	case f.At == phaseDrain && u != nil && u.Last != nil && u.Last.To == st.Version:
		f.Kind, f.From, f.To = kindOf(u.Last), u.Last.From, u.Last.To
	case f.At != "" && st.Progress != nil:
		f.Kind, f.From, f.To = "upgrade", st.Version, st.Progress.Version
	case f.At != "":
		f.Kind, f.From, f.To = "restart", st.Version, st.Version
	case u != nil && u.Last != nil:
		f.Ended = u.Last
		f.Kind, f.From, f.To = kindOf(u.Last), u.Last.From, u.Last.To
	}
	if p := st.Progress; p != nil && p.Phase == f.At {
		f.Done, f.Total = p.Done, p.Total
	}
	f.mark()
	return f
}

// kindOf knows that attempts of old have no kind.
func kindOf(a *updater.Attempt) string {
	if a.Kind == "" {
		return "upgrade"
	}
	return a.Kind
}

// at is the step that a server is in: what its own state says comes first, it cannot be late.
func at(st admin.Status) updater.Phase {
	switch st.State {
	case "handing-over":
		return updater.PhaseHandover
	case "standby", "probation":
		return updater.PhaseProbation
	case "draining":
		return phaseDrain
	}
	if st.Progress != nil {
		return st.Progress.Phase
	}
	if u := st.Updater; u != nil && u.Attempt != nil {
		return journal[u.Phase]
	}
	if len(st.Draining) > 0 {
		return phaseDrain
	}
	return ""
}

// mark marks the steps: those before the current one are done, but for a restart or a rollback, which have nothing to fetch.
func (f *flow) mark() {
	stop, how := f.At, current
	if f.Ended != nil {
		switch {
		case f.Ended.Outcome == "committed":
			stop = ""
		case f.Ended.Step != "":
			stop, how = f.Ended.Step, broken
		default:
			stop, how = updater.PhaseHandover, broken
		}
	}
	before := done
	if f.Kind == "" || stop == "" && f.Ended == nil {
		before = ahead
	}
	for _, p := range phases {
		s := step{p, before}
		if before == done && p != stop && f.skips(p) {
			s.Mark = skipped
		}
		if p == stop {
			s.Mark, before = how, ahead
		}
		f.Steps = append(f.Steps, s)
	}
}

func (f *flow) skips(p updater.Phase) bool {
	switch f.Kind {
	case "restart":
		return p != updater.PhaseHandover && p != updater.PhaseProbation && p != updater.PhaseCommit && p != updater.PhaseProve
	case "rollback":
		return p == updater.PhaseCheck || p == updater.PhaseFetch || p == updater.PhaseVerify || p == updater.PhaseStage
	}
	return false
}

// Caption says in words what the strip shows.
func (f flow) Caption() string {
	switch {
	case f.Kind == "":
		return "Nothing is under way, and nothing was tried yet."
	case f.Kind == "restart":
		return fmt.Sprintf("Restart of %s", f.From)
	}
	verb := "Upgrade"
	if f.Kind == "rollback" {
		verb = "Rollback"
	}
	if f.To == "" {
		return verb + " of " + f.From
	}
	return fmt.Sprintf("%s %s → %s", verb, f.From, f.To)
}
