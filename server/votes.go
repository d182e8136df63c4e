package server

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

const (
	// usualVote is how long a vote counts that says nothing of it.
	usualVote = time.Minute
	// mostCheckers bounds what is remembered.
	mostCheckers = 64
	// mostReason bounds the reason of a vote, in bytes.
	mostReason = 400
)

// votes are what others say of the process that serves: this one, or the successor for which it stands by. The admin socket is this process's
// until COMMIT, so it hears what is said of the successor, and takes that back if it is ill.
type votes struct {
	mu      sync.Mutex
	subject int // generation of the successor that serves; 0: this process does
	given   map[string]admin.Opinion
}

// step follows who serves. What was said of a successor goes with it.
func (v *votes) step(e grace.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch e.Step {
	case grace.StepStandby:
		v.subject = e.Generation
	case grace.StepRolledBack, grace.StepResurrected:
		maps.DeleteFunc(v.given, func(_ string, o admin.Opinion) bool { return o.Generation == v.subject })
		v.subject = 0
	}
}

// count notes a vote.
func (v *votes) count(own int, o admin.Opinion) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.expire()
	if o.Generation = v.subject; v.subject == 0 {
		o.Generation = own
	}
	if _, known := v.given[o.Checker]; !known && len(v.given) >= mostCheckers {
		return fmt.Errorf("%d checkers have given votes that still count: no more are heard", mostCheckers)
	}
	if v.given == nil {
		v.given = map[string]admin.Opinion{}
	}
	v.given[o.Checker] = o
	return nil
}

func (v *votes) expire() {
	now := time.Now()
	maps.DeleteFunc(v.given, func(_ string, o admin.Opinion) bool { return !now.Before(o.Until) })
}

// of are the votes on a generation, by checker; 0 is whichever serves.
func (v *votes) of(generation, own int) (list []admin.Opinion) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.expire()
	if generation == 0 {
		if generation = v.subject; generation == 0 {
			generation = own
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.given)) {
		if o := v.given[name]; o.Generation == generation {
			list = append(list, o)
		}
	}
	return list
}

// ill is what the first ill vote says.
func ill(list []admin.Opinion) error {
	for _, o := range list {
		if o.Ill {
			return fmt.Errorf("%s votes it ill: %s", o.Checker, o.Reason)
		}
	}
	return nil
}

// isVotedWell is a question about this process, of /readyz and of a probation without a predecessor.
func (r *runner) isVotedWell(context.Context) error {
	own := r.p.Generation()
	return ill(r.votes.of(own, own))
}

// witness is what is said of the successor that serves on probation.
func (r *runner) witness(context.Context) error {
	<-r.assembled
	return ill(r.votes.of(0, r.p.Generation()))
}

// Vote notes what a checker outside says of the process that serves now.
func (r *runner) Vote(ctx context.Context, by *updater.Asker, v admin.Vote) (admin.Health, error) {
	if v.For == 0 {
		v.For = admin.Seconds(usualVote)
	}
	refuse := func(format string, args ...any) (admin.Health, error) {
		return admin.Health{}, &updater.Error{Class: updater.Usage, Reason: "bad-request", Err: fmt.Errorf("vote: "+format, args...)}
	}
	switch {
	case !checkName.MatchString(v.Checker):
		return refuse("checker %.80q: a name is lowercase letters, digits and ._-, and begins with a letter", v.Checker)
	case time.Duration(v.For) > mostDelay:
		return refuse("for %s: at most %s", v.For, mostDelay)
	case len(v.Reason) > mostReason:
		return refuse("a reason of %d bytes: at most %d", len(v.Reason), mostReason)
	}
	now := time.Now()
	if err := r.votes.count(r.p.Generation(), admin.Opinion{Vote: v, Since: now, Until: now.Add(time.Duration(v.For)), By: by}); err != nil {
		return refuse("%w", err)
	}
	r.log.Info("vote", "checker", v.Checker, "ill", v.Ill, "reason", v.Reason, "for", v.For.String(), "by", by.String())
	h := r.Health(ctx)
	r.tell(admin.Event{Kind: admin.KindHealth, Health: &h})
	return h, nil
}

// Health is what the program says of itself, and others of what serves.
func (r *runner) Health(ctx context.Context) admin.Health {
	h := admin.Health{Schema: admin.Schema, Well: true, Findings: []admin.Finding{},
		Votes: append([]admin.Opinion{}, r.votes.of(0, r.p.Generation())...)}
	for i, err := range askAll(ctx, r.questions) {
		f := admin.Finding{Name: r.questions[i].name, Well: err == nil}
		if err != nil {
			f.Reason, h.Well = err.Error(), false
		}
		h.Findings = append(h.Findings, f)
	}
	h.Well = h.Well && ill(h.Votes) == nil
	return h
}
