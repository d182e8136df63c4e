package updater

import (
	"errors"
	"maps"
	"os"
	"strings"
	"testing"
	"time"
)

// TestTally: the counts outlive the process, the lines of the history, and the state file.
func TestTally(t *testing.T) {
	b := newBench(t, nil)
	b.lock()
	want := map[string]int{outcomeCommitted: 0, outcomeRolledBack: 0, outcomeFailed: 0, outcomeInterrupted: 0}
	look := func(when string) Status {
		t.Helper()
		s, err := b.Status()
		if err != nil || !maps.Equal(s.Attempts, want) {
			t.Errorf("%s: %v, %v; want %v", when, s.Attempts, err, want)
		}
		return s
	}
	if s := look("at first"); !s.LastSuccess.IsZero() {
		t.Errorf("last success %s", s.LastSuccess)
	}
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	if _, err := b.Upgrade(t.Context(), Request{}); err != nil {
		t.Fatal(err)
	}
	want[outcomeCommitted]++
	good := look("after a good one").LastSuccess
	if time.Since(good) > time.Minute {
		t.Errorf("last success %s", good)
	}
	b.source.offer("9.9.3-good", []byte("no executable"))
	if _, err := b.Upgrade(t.Context(), Request{}); err == nil {
		t.Fatal("no executable was taken")
	}
	want[outcomeFailed]++
	if s := look("after a bad one"); !s.LastSuccess.Equal(good) {
		t.Errorf("last success %s, want %s", s.LastSuccess, good)
	}

	holder := b.Updater
	b.open(nil)
	look("another process, without the lock")
	if err := holder.Unlock(); err != nil {
		t.Fatal(err)
	}
	b.lock()
	look("with it")
	state, err := os.ReadFile(b.statePath())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.root.Remove(historyFile); err != nil {
		t.Fatal(err)
	}
	if err := b.Unlock(); err != nil {
		t.Fatal(err)
	}
	look("without a history")

	var history []byte
	for range want[outcomeCommitted] {
		history = append(history, `{"id":"u-1","outcome":"committed","ended":"2026-01-02T03:04:05Z"}`+"\n"...)
	}
	history = append(history, `{"id":"u-2","outcome":"failed"}`...)
	if err := os.WriteFile(strings.Replace(b.statePath(), stateFile, historyFile, 1), history, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, doc := range map[string]string{"a state file of before": strings.Replace(string(state), `"tally"`, `"told"`, 1), "a damaged one": "{", "none": ""} {
		err := os.WriteFile(b.statePath(), []byte(doc), 0o600)
		if doc == "" {
			err = os.Remove(b.statePath())
		}
		if err != nil {
			t.Fatal(err)
		}
		b.open(nil)
		if s := look(name); s.LastSuccess.Year() != 2026 {
			t.Errorf("%s: last success %s", name, s.LastSuccess)
		}
	}
}

// TestNewer: status says that something newer is offered, whatever keeps it from being taken, and when the source last answered.
func TestNewer(t *testing.T) {
	b := newBench(t, nil)
	b.lock()
	if err := b.Hold(Hold{Reason: "freeze"}); err != nil {
		t.Fatal(err)
	}
	look := func(when, want string) time.Time {
		t.Helper()
		b.Check(t.Context(), Request{})
		s, err := b.Status()
		if err != nil || s.Newer != want {
			t.Errorf("%s: newer %q, %v; want %q", when, s.Newer, err, want)
		}
		return s.LastAnswer
	}
	look("nothing is offered", "")
	b.source.offer("1.0.0", []byte("an old one"))
	look("an older one", "")
	elsewhere := b.source.offer("9.9.1", []byte("for others"))
	b.source.offers[len(b.source.offers)-1].Platform.OS = "plan9"
	look("for another platform: "+elsewhere.Digest.Short(), "")
	b.source.offer("9.9.2-good", []byte("a new one"))
	answered := look("a newer one, held", "9.9.2-good")
	if s, _ := b.Status(); s.CheckReason != "held" {
		t.Errorf("check reason %q", s.CheckReason)
	}
	b.Check(t.Context(), Request{Version: "1.0.0", Manual: true})
	if s, _ := b.Status(); s.Newer != "9.9.2-good" {
		t.Errorf("after a question about another version: %q", s.Newer)
	}
	b.source.err = errors.New("no route to host")
	if again := look("no answer", "9.9.2-good"); answered.IsZero() || !again.After(answered) && !again.Equal(answered) {
		t.Errorf("last answer %s, then %s", answered, again)
	}
	before := b.answered
	b.Check(t.Context(), Request{})
	if s, _ := b.Status(); !s.LastAnswer.Equal(before) || !s.LastCheck.After(before) {
		t.Errorf("a check without an answer: last answer %s, last check %s", s.LastAnswer, s.LastCheck)
	}
}
