//go:build unix

package cmd_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/server/client"
	"github.com/moult-go/moult/updater"
)

// TestVerdictOutlivesTheServer kills the process that was asked for an upgrade in each phase of it. A supervisor starts the server again where none is left.
// Whoever asked gets the verdict, and it is what the history and the disk say.
func TestVerdictOutlivesTheServer(t *testing.T) {
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	for _, phase := range []updater.Phase{updater.PhaseCheck, updater.PhaseFetch, updater.PhaseStage, updater.PhaseProve, updater.PhaseHandover,
		updater.PhaseProbation, updater.PhaseCommit} {
		t.Run(string(phase), func(t *testing.T) {
			t.Parallel()
			s := newStory(t, bin)
			c := s.supervised(t, "500ms")
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			before, err := c.Status(ctx)
			if err != nil {
				t.Fatal(err)
			}
			killed, attempt := false, ""
			out, err := c.Upgrade(ctx, admin.Request{}, func(e updater.Event) {
				attempt = e.Attempt
				if e.Phase == phase && !killed {
					killed = syscall.Kill(before.PID, syscall.SIGKILL) == nil
				}
			})
			if !killed {
				t.Fatalf("there was no %s; %v", phase, err)
			}
			installed, diskErr := os.ReadFile(filepath.Join(s.dir, "opt", "app"))
			offered, dropErr := os.ReadFile(filepath.Join(s.dir, "drop", "app"))
			if err := errors.Join(diskErr, dropErr); err != nil {
				t.Fatal(err)
			}
			var cut *client.CutError
			switch {
			case attempt == "" && !errors.As(err, &cut):
				t.Errorf("no attempt had begun, and yet: %+v, %v", out, err)
			case (err == nil) != slices.Equal(installed, offered):
				t.Errorf("%+v, %v; the new version is installed: %v", out, err, slices.Equal(installed, offered))
			case err == nil && (out.Attempt != attempt || out.To != "2.0.0" || !out.Changed):
				t.Errorf("of attempt %s: %+v", attempt, out)
			}
			h, historyErr := c.History(ctx)
			if historyErr != nil {
				t.Fatal(historyErr)
			}
			i := slices.IndexFunc(h.Attempts, func(a updater.Attempt) bool { return a.ID == attempt })
			if committed := i >= 0 && h.Attempts[i].Outcome == "committed"; committed != (err == nil) {
				t.Errorf("%v, and the history says %+v", err, h.Attempts)
			}
			t.Logf("%+v, %v", out, err)
		})
	}
}

// supervised installs 1.0.0, lets it serve with 2.0.0 to be had, and returns a client of whoever serves.
func (s *story) supervised(t *testing.T, probation string) *client.Client {
	t.Helper()
	for _, err := range []error{s.keys(nil, nil), s.install(nil, []string{"1.0.0"}), s.drop(nil, []string{"2.0.0"}),
		s.supervise(nil, []string{"--watch", "drop/app", "--minisign-key", "key.pub", "--interval", "-1s", "--probation", probation})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	locate := func() (string, error) {
		list, err := admin.Instances(filepath.Join(s.dir, "opt", ".app.d"))
		if err != nil || len(list) != 1 {
			return "", fmt.Errorf("servers %v: %w", list, err)
		}
		return list[0].Admin, nil
	}
	var sock string
	var err error
	if !until(func() bool { sock, err = locate(); return err == nil }) {
		t.Fatalf("%v; log:\n%s", err, s.logged())
	}
	c := client.New(sock)
	c.Locate = locate
	return c
}

// TestVoteRollsBack: a checker outside votes a version on probation ill, and it is taken back and quarantined as if it had said so itself. The next
// time nobody votes, and whoever reads the events goes on with the successor.
func TestVoteRollsBack(t *testing.T) {
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	s := newStory(t, bin)
	c := s.supervised(t, "3s")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	vote := func(ill bool) {
		if _, err := c.Vote(ctx, admin.Vote{Checker: "smoke", Ill: ill, Reason: "the front page is blank"}); err != nil {
			t.Error(err)
		}
	}
	_, err = c.Upgrade(ctx, admin.Request{}, func(e updater.Event) {
		if e.Phase == updater.PhaseProbation {
			vote(true)
		}
	})
	var f *admin.Failure
	if !errors.As(err, &f) || f.Class != updater.Undone || f.Reason != "ill" || f.Serving != "1.0.0" || !strings.Contains(f.Message, "smoke votes it ill: the front page is blank") {
		t.Fatalf("%v, %+v; log:\n%s", err, f, s.logged())
	}
	if q, err := c.Quarantine(ctx); err != nil || len(q.Quarantine) != 1 || q.Quarantine[0].Version != "2.0.0" {
		t.Errorf("%+v, %v", q, err)
	}
	h, err := c.Health(ctx)
	if err != nil || !h.Well || len(h.Votes) != 0 {
		t.Errorf("what was said of 2.0.0 is said of 1.0.0: %+v, %v", h, err)
	}

	outcome := make(chan error, 1)
	go func() {
		_, err := c.Upgrade(ctx, admin.Request{Force: true}, nil)
		outcome <- err
	}()
	var told []string
	for e, err := range c.Events(ctx, "1.0") {
		if err != nil {
			t.Fatalf("%v, after %q", err, told)
		}
		switch {
		case e.State != nil && e.State.Step != "":
			told = append(told, fmt.Sprintf("%d: %s", e.Generation, e.State.Step))
		case e.State != nil:
			told = append(told, fmt.Sprintf("%d: is %s", e.Generation, e.State.State))
		}
		if e.Generation > 1 && e.State != nil && e.State.State == "serving" {
			break
		}
	}
	all := strings.Join(told, ", ")
	last := 0
	for _, want := range []string{"1: standby", "1: rolled-back", "1: standby", "1: moving", "is serving"} {
		i := strings.Index(all[last:], want)
		if i < 0 {
			t.Fatalf("told of %s; there is no %q, or too early", all, want)
		}
		last += i + len(want)
	}
	if err := <-outcome; err != nil {
		t.Errorf("the second time: %v", err)
	}
}
