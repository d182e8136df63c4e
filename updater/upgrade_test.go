package updater

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// TestCommitWantsTheImageThatServed: what proved itself is what is committed, and nothing else.
func TestCommitWantsTheImageThatServed(t *testing.T) {
	b := newBench(t, nil)
	b.open(func(o *Options) {
		o.Handover = handoverFunc(func(_ context.Context, _ string, commit func() error) error {
			b.Spawned(os.Getpid()) // executes the test binary
			return commit()
		})
	})
	if _, err := b.image(os.Getpid()); err != nil {
		t.Skip("the image of a process cannot be asked for here: ", err)
	}
	b.lock()
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	_, err := b.Upgrade(t.Context(), Request{})
	wantError(t, err, Failed, "wrong-image")
	if b.installed() != oldBytes {
		t.Error("installed all the same")
	}
}

func TestUpgradeHandsOverFirst(t *testing.T) {
	var path string
	b := newBench(t, nil)
	b.open(func(o *Options) {
		o.Handover = handoverFunc(func(_ context.Context, p string, commit func() error) error {
			path = p
			if b.installed() != oldBytes {
				t.Error("the install path changed before the commit")
			}
			b.Spawned(os.Getpid())
			b.image = func(int) (os.FileInfo, error) { return os.Stat(p) } // that process executes p
			b.Standby()
			if s := b.status(); s.Phase != "probation" || s.Attempt == nil || s.Attempt.Proof != "report" {
				t.Errorf("on probation: status %+v", s)
			}
			return commit()
		})
	})
	b.lock()
	payload := candidate(t, "9.9.2-good")
	c := b.source.offer("9.9.2-good", payload)
	var phases []Phase
	named := map[string]int{} // events, by their attempt
	by := &Asker{UID: 7, PID: 4312, User: "ann"}
	out, err := b.Upgrade(t.Context(), Request{By: by, Events: func(e Event) {
		named[e.Attempt]++
		if len(phases) == 0 || phases[len(phases)-1] != e.Phase {
			phases = append(phases, e.Phase)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	last := b.status().Last
	if want := (Outcome{last.ID, true, "1.0.0", "9.9.2-good", c.Digest, true}); out != want {
		t.Errorf("outcome %+v, want %+v", out, want)
	}
	if named[""] != 1 || named[last.ID] == 0 || len(named) != 2 {
		t.Errorf("events by attempt: %v; the check has none, the rest is %s", named, last.ID)
	}
	if last.By == nil || *last.By != *by {
		t.Errorf("asked for by %+v, in the history it is %+v", by, last.By)
	}
	if got, want := strings.Join(asStrings(phases), ","), "check,fetch,verify,stage,prove,hand over,commit"; got != want {
		t.Errorf("phases %s, want %s", got, want)
	}
	if b.installed() != string(payload) {
		t.Error("the new version is not installed")
	}
	if fi, _ := os.Stat(b.path); fi.Mode() != 0o751 {
		t.Errorf("mode %v is not that of the previous version", fi.Mode())
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) && path != b.versionFile(build{"9.9.2-good", c.Digest}) {
		t.Errorf("started from %s", path)
	}
	s := b.status()
	if len(s.Kept) != 1 || s.Kept[0].Version != "1.0.0" || s.Last.Outcome != "committed" || s.Installed != c.Digest {
		t.Errorf("status %+v", s)
	}
	if h, err := b.History(); err != nil || len(h) != 1 || h[0].Outcome != "committed" {
		t.Errorf("history %+v, %v", h, err)
	}
	b.wantTidy()
}

func asStrings(phases []Phase) (s []string) {
	for _, p := range phases {
		s = append(s, string(p))
	}
	return s
}

func TestReplaceAloneManyTimes(t *testing.T) {
	b := newBench(t, nil)
	for _, version := range []string{"9.9.2-good", "9.9.3-good", "9.9.4-good", "9.9.5-good", "9.9.6-good", "9.9.7-good", "9.9.8-good", "9.9.9-good",
		"9.91.1-goo", "9.92.1-goo"} {
		payload := candidate(t, version)
		b.source.offer(version, payload)
		out, err := b.Upgrade(t.Context(), Request{})
		if err != nil {
			t.Fatal(err)
		}
		if !out.Changed || out.Restarted || b.installed() != string(payload) {
			t.Fatalf("%s: outcome %+v", version, out)
		}
		b.wantTidy()
	}
	out, err := b.Upgrade(t.Context(), Request{})
	if err != nil || out.Changed || out.To != "9.92.1-goo" {
		t.Errorf("again: %+v, %v; want already current", out, err)
	}
	if n := len(b.status().Kept); n != defaultKeep-1 {
		t.Errorf("%d versions kept, want %d beside the installed one", n, defaultKeep-1)
	}
}

func TestVerdicts(t *testing.T) {
	plain := errors.New("the link broke")
	tests := []struct {
		name        string
		err         error
		class       Class
		reason      string
		outcome     string
		quarantined bool
		counts      int
	}{
		{"crashed", &undone{true, true, true, plain}, Undone, "because", "rolled-back", true, 0},
		{"taken back", &undone{true, true, false, plain}, Undone, "because", "rolled-back", false, 1},
		{"never ready", &undone{true, false, false, plain}, Failed, "because", "failed", false, 1},
		{"stopped", &undone{false, false, false, plain}, Failed, "interrupted", "interrupted", false, 0},
		{"unknown", plain, Failed, "handover-failed", "failed", false, 1},
	}
	for _, replaceFirst := range []bool{false, true} {
		for _, test := range tests {
			name := test.name
			if replaceFirst {
				name += ", replace first"
			}
			t.Run(name, func(t *testing.T) {
				b := newBench(t, nil)
				var started string
				b.open(func(o *Options) {
					o.Interval = time.Minute // the first wait after a failure
					o.ReplaceFirst = replaceFirst
					o.Handover = handoverFunc(func(_ context.Context, p string, _ func() error) error {
						started = p
						if replaced := b.installed() != oldBytes; replaced != replaceFirst {
							t.Errorf("replaced before the handover: %v", replaced)
						}
						return test.err
					})
				})
				b.lock()
				c := b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
				_, err := b.Upgrade(t.Context(), Request{})
				wantError(t, err, test.class, test.reason)
				if b.installed() != oldBytes {
					t.Error("the previous version is not at the install path")
				}
				if replaceFirst != (started == b.path) {
					t.Errorf("started %s", started)
				}
				s := b.status()
				if s.Last.Outcome != test.outcome || strings.Contains(s.Last.Words, "\x1b") {
					t.Errorf("last attempt %+v, want outcome %s", s.Last, test.outcome)
				}
				step := PhaseHandover
				if test.class == Undone {
					step = PhaseProbation
				}
				if s.Last.Step != step {
					t.Errorf("it failed at %q, want %q", s.Last.Step, step)
				}
				if got := len(s.Quarantine) == 1; got != test.quarantined {
					t.Errorf("quarantine %v", s.Quarantine)
				}
				if f := b.state.failing(c.Digest); !test.quarantined && (f == nil || f.Count != test.counts) {
					t.Errorf("failures %+v, want %d that count", f, test.counts)
				}
				f, err := b.Check(t.Context(), Request{})
				if err != nil || f.Available {
					t.Errorf("offered again at once: %+v, %v", f, err)
				}
				b.wantTidy()
			})
		}
	}
}

func TestThirdFailureQuarantines(t *testing.T) {
	b := newBench(t, func(o *Options) {
		o.Handover = handoverFunc(func(context.Context, string, func() error) error { return &undone{verdict: true} })
	})
	b.lock()
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	for range mostFailures {
		_, err := b.Upgrade(t.Context(), Request{Manual: true})
		wantError(t, err, Failed, "because")
	}
	_, err := b.Upgrade(t.Context(), Request{Manual: true})
	wantError(t, err, Policy, "quarantined")
	if _, err = b.Upgrade(t.Context(), Request{Manual: true, Force: true}); err == nil || !strings.Contains(err.Error(), "successor") {
		t.Errorf("forced: %v, want another try", err)
	}
	if _, err := b.Unquarantine(""); err != nil || len(b.status().Quarantine) != 0 {
		t.Errorf("clear: %v, %v", err, b.status().Quarantine)
	}
}

func TestReplacedBySomeoneElse(t *testing.T) {
	const theirs = "the package manager's"
	b := newBench(t, nil)
	b.open(func(o *Options) {
		o.Handover = handoverFunc(func(_ context.Context, _ string, commit func() error) error {
			if err := os.WriteFile(b.path+".pkg", []byte(theirs), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(b.path+".pkg", b.path); err != nil {
				t.Fatal(err)
			}
			return &undone{true, true, false, commit()}
		})
	})
	b.lock()
	c := b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	_, err := b.Upgrade(t.Context(), Request{})
	wantError(t, err, Undone, "replaced-by-someone-else")
	if b.installed() != theirs {
		t.Error("their file is lost")
	}
	if f := b.state.failing(c.Digest); f != nil && f.Count > 0 {
		t.Error("the build is blamed for it")
	}
	_, err = b.Upgrade(t.Context(), Request{Manual: true})
	wantError(t, err, Failed, "replaced-by-someone-else")
}

// TestReplacedByThePredecessor: the successor is open before its predecessor commits and gets the lock after it. Whoever asks in between hears of no
// obstacle: what stands at the install path is looked at when the lock is taken, and counts from then on.
func TestReplacedByThePredecessor(t *testing.T) {
	b, successor := newBench(t, nil), (*Updater)(nil)
	b.open(func(o *Options) {
		o.Handover = handoverFunc(func(_ context.Context, _ string, commit func() error) error {
			its := b.o
			its.Version, its.Handover = "9.9.2-good", nil
			var err error
			if successor, err = New(its); err != nil {
				t.Fatal(err)
			}
			return commit()
		})
	})
	b.lock()
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	if _, err := b.Upgrade(t.Context(), Request{}); err != nil {
		t.Fatal(err)
	}
	if err := b.Unlock(); err != nil {
		t.Fatal(err)
	}
	b.Updater = successor
	if o := b.status().Obstacle; o != nil {
		t.Errorf("without the lock: %+v", o)
	}
	b.lock()
	if o := b.status().Obstacle; o != nil {
		t.Errorf("with it: %+v", o)
	}
	b.put("the package manager's")
	if o := b.status().Obstacle; o == nil || o.Reason != "replaced-by-someone-else" {
		t.Errorf("replaced under the lock: %+v", o)
	}
}

// TestReplaceFirstLeavesWhatSomeoneElseHasPut: what is put back on failure goes over our own file only.
func TestReplaceFirstLeavesWhatSomeoneElseHasPut(t *testing.T) {
	const theirs = "the package manager's"
	b := newBench(t, nil)
	b.open(func(o *Options) {
		o.ReplaceFirst = true
		o.Handover = handoverFunc(func(context.Context, string, func() error) error {
			if err := errors.Join(os.WriteFile(b.path+".pkg", []byte(theirs), 0o755), os.Rename(b.path+".pkg", b.path)); err != nil {
				t.Fatal(err)
			}
			return &undone{verdict: true, undone: true, guilty: true}
		})
	})
	b.lock()
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	_, err := b.Upgrade(t.Context(), Request{})
	wantError(t, err, NotRestarted, "because")
	if !strings.Contains(err.Error(), "someone else") {
		t.Errorf("%v", err)
	}
	if b.installed() != theirs {
		t.Error("their file is lost")
	}
	if s := b.status(); !strings.Contains(s.Disk, "someone else") {
		t.Errorf("status says %q", s.Disk)
	}
}

func TestCommittedAndYetUndone(t *testing.T) {
	b := newBench(t, func(o *Options) {
		o.Handover = handoverFunc(func(_ context.Context, _ string, commit func() error) error {
			if err := commit(); err != nil {
				return err
			}
			return &undone{verdict: true, undone: true, guilty: true} // died before it was told
		})
	})
	b.lock()
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	_, err := b.Upgrade(t.Context(), Request{})
	wantError(t, err, Undone, "because")
	if b.installed() != oldBytes {
		t.Error("the build that died stands at the install path")
	}
	if !b.state.Floor.IsZero() {
		t.Errorf("floor %s was raised", b.state.Floor)
	}
	b.wantTidy()
}

func TestBusy(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	b := newBench(t, func(o *Options) {
		o.Handover = handoverFunc(func(_ context.Context, _ string, commit func() error) error {
			close(entered)
			<-leave
			return commit()
		})
	})
	b.lock()
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	done := make(chan error)
	go func() {
		_, err := b.Upgrade(t.Context(), Request{})
		done <- err
	}()
	<-entered
	_, err := b.Upgrade(t.Context(), Request{Manual: true})
	wantError(t, err, Busy, "busy")
	if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "handing-over") {
		t.Errorf("%v: want ErrBusy and the phase", err)
	}
	other := *b
	other.open(nil)
	_, err = other.Upgrade(t.Context(), Request{Manual: true})
	wantError(t, err, Busy, "busy")
	close(leave)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := newBench(t, nil)
	b.lock()
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	b.Updater.step = func(p string) {
		if p == "stage dir" {
			cancel()
		}
	}
	_, err := b.Upgrade(ctx, Request{})
	wantError(t, err, Failed, "interrupted")
	if s := b.status(); s.Last == nil || s.Last.Outcome != "interrupted" {
		t.Errorf("last attempt %+v", s.Last)
	}
	b.wantTidy()
}
