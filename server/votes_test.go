package server

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moult-go/moult/grace"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

// A vote is about the process that serves when it is given, and about no other.
func TestVotes(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := newRunner(Service{HealthInterval: time.Second, Logger: slog.New(slog.DiscardHandler)})
		close(r.assembled)
		p := newFakeProcess(dir)
		p.generation, r.p = 4, p
		vote := func(v admin.Vote) admin.Health {
			t.Helper()
			h, err := r.Vote(t.Context(), &updater.Asker{UID: 7}, v)
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		is := func(what string, own, successor bool) {
			t.Helper()
			if got := r.vote(t.Context()) == nil; got != own {
				t.Errorf("%s: this process is well: %v", what, got)
			}
			if got := r.witness(t.Context()) == nil; got != successor {
				t.Errorf("%s: who serves is well: %v", what, got)
			}
		}
		is("at first", true, true)
		h := vote(admin.Vote{Checker: "probe-1", Ill: true, Reason: "slow"})
		if h.Well || len(h.Votes) != 1 || h.Votes[0].Generation != 4 || h.Votes[0].Until.Sub(h.Votes[0].Since) != time.Minute || h.Votes[0].By.UID != 7 {
			t.Errorf("an ill vote: %+v", h)
		}
		is("voted ill", false, false)
		r.onEvent(grace.Event{Step: grace.StepStandby, Generation: 5})
		is("its successor serves", false, true)
		if h := vote(admin.Vote{Checker: "probe-2", Ill: true, Reason: "wrong"}); h.Well || len(h.Votes) != 1 || h.Votes[0].Generation != 5 {
			t.Errorf("on the successor: %+v", h)
		}
		is("the successor is ill", false, false)
		vote(admin.Vote{Checker: "probe-2"})
		is("it is well again", false, true)
		vote(admin.Vote{Checker: "probe-2", Ill: true})
		r.onEvent(grace.Event{Step: grace.StepRolledBack, Generation: 5})
		if h := r.Health(t.Context()); len(h.Votes) != 1 || h.Votes[0].Checker != "probe-1" {
			t.Errorf("what was said of the successor outlives it: %+v", h.Votes)
		}
		time.Sleep(time.Minute)
		is("a minute later", true, true)
		if n := len(r.hub.ring); n < 4 {
			t.Errorf("%d events", n)
		}
	})
}

func TestVotesAreBounded(t *testing.T) {
	r := newRunner(Service{HealthInterval: time.Second, Logger: slog.New(slog.DiscardHandler)})
	r.p = newFakeProcess(t.TempDir())
	for _, v := range []admin.Vote{{}, {Checker: "Probe 1"}, {Checker: "p", For: admin.Seconds(48 * time.Hour)}, {Checker: "p", Reason: strings.Repeat("x", 500)}} {
		if _, err := r.Vote(t.Context(), nil, v); classOf(err) != updater.Usage {
			t.Errorf("%.60v: %v", v, err)
		}
	}
	for i := range mostCheckers + 1 {
		_, err := r.Vote(t.Context(), nil, admin.Vote{Checker: fmt.Sprintf("p%d", i)})
		if (err == nil) != (i < mostCheckers) {
			t.Errorf("checker %d: %v", i, err)
		}
	}
}
