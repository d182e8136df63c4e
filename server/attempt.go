package server

import (
	"errors"
	"strings"
	"sync"
	"unicode"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/updater"
)

// attempt is an upgrade, a rollback or a restart that somebody asked for and follows.
type attempt struct {
	events  func(updater.Event)
	standby chan struct{} // gets a token when the successor is on probation

	mu      sync.Mutex
	last    updater.Event
	version string // of the successor
}

// attend carries out an attempt, and tells of it whoever asked and whoever listens.
func (r *runner) attend(events func(updater.Event), do func(*attempt) (updater.Outcome, error)) (updater.Outcome, error) {
	a := &attempt{events: func(e updater.Event) { r.tellProgress(e); events(e) }, standby: make(chan struct{}, 1)}
	r.attempt.Store(a)
	defer r.attempt.Store(nil)
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() { a.follow(done) })
	out, err := do(a)
	close(done)
	wg.Wait()
	if classOf(err) == updater.Busy || errors.Is(err, grace.ErrBusy) {
		return out, r.busy()
	}
	r.tellEnd(out, err)
	return out, err
}

// tell passes an event on.
func (a *attempt) tell(e updater.Event) {
	a.mu.Lock()
	a.last = e
	a.mu.Unlock()
	a.events(e)
}

func (a *attempt) latest() updater.Event {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// successor is the version that the successor says it is.
func (a *attempt) successor() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.version
}

// step follows the handover. It must not wait for the one who follows.
func (a *attempt) step(e grace.Event) {
	switch e.Step {
	case grace.StepGreeted:
		a.mu.Lock()
		defer a.mu.Unlock()
		a.version = plain(e.Version)
	case grace.StepStandby:
		select {
		case a.standby <- struct{}{}:
		default:
		}
	}
}

// follow tells of the probation, which the updater cannot see, until done is closed.
func (a *attempt) follow(done <-chan struct{}) {
	select {
	case <-a.standby:
		last := a.latest()
		version := last.Version
		if version == "" {
			version = a.successor()
		}
		a.tell(updater.Event{Phase: updater.PhaseProbation, Attempt: last.Attempt, Version: version})
	case <-done:
	}
}

// plain is text of another process as it may be shown: short, in one line, and without control characters.
func plain(s string) string {
	const most = 100
	s = strings.ToValidUTF8(s[:min(len(s), most)], "")
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return -1
		}
		return c
	}, s)
}
