package updater

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/moult-go/moult/release"
)

// starts opens the installation as n cold starts one after the other, whose processes are gone by the time of the next.
func (b *bench) starts(version string, n int) (back bool) {
	b.t.Helper()
	for range n {
		b.open(func(o *Options) { o.Version = version })
		var err error
		if back, err = b.countStart(); err != nil {
			b.t.Fatal(err)
		}
		b.die()
	}
	return back
}

// die makes the starts that were counted those of processes that are gone.
func (b *bench) die() {
	b.t.Helper()
	b.lock()
	defer b.Unlock()
	if b.state.Cold == nil {
		return
	}
	for i := range b.state.Cold.Open {
		b.state.Cold.Open[i].PID = 1 << 30
		b.state.Cold.Open[i].Start = "0"
	}
	if err := b.save(true); err != nil {
		b.t.Fatal(err)
	}
}

// updated is an installation on which 9.9.2-good was just replaced by 9.9.3-good.
func updated(t *testing.T) (b *bench, good, bad release.Digest) {
	t.Helper()
	b = newBench(t, nil)
	for i, v := range []string{"9.9.2-good", "9.9.3-good"} {
		d := b.source.offer(v, candidate(t, v)).Digest
		if _, err := b.Upgrade(t.Context(), Request{}); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			good = d
		}
		bad = d
	}
	return b, good, bad
}

func TestThreeDeadStartsBringThePreviousVersionBack(t *testing.T) {
	b, good, bad := updated(t)
	if b.starts("9.9.3-good", mostDead) {
		t.Fatal("put back before the third start has died")
	}
	if !b.starts("9.9.3-good", 1) || b.installed() != string(candidate(t, "9.9.2-good")) {
		t.Fatal("the previous version is not back")
	}
	s := b.status()
	if len(s.Quarantine) != 1 || s.Quarantine[0].Digest != bad || s.Quarantine[0].Reason != "crash-loop" {
		t.Errorf("quarantine %+v", s.Quarantine)
	}
	if l := s.Last; l.Kind != "rollback" || l.Reason != "crash-loop" || l.Outcome != "committed" || l.From != "9.9.3-good" || l.To != "9.9.2-good" || l.Digest != good {
		t.Errorf("last attempt %+v", l)
	}
	b.open(func(o *Options) { o.Version = "9.9.2-good" })
	_, err := b.Upgrade(t.Context(), Request{})
	wantError(t, err, Policy, "quarantined")
	b.wantTidy()

	// The one before dies as well: nothing is changed any more, and that is said.
	for range 3 {
		if b.starts("9.9.2-good", mostDead) || b.installed() != string(candidate(t, "9.9.2-good")) {
			t.Fatal("ping-pong")
		}
	}
	if s := b.status(); !strings.Contains(s.Disk, "died at its last cold starts") {
		t.Errorf("status says %q", s.Disk)
	}
	// It recovers at last.
	b.open(func(o *Options) { o.Version = "9.9.2-good" })
	b.lock()
	if err := b.StartedWell(); err != nil {
		t.Fatal(err)
	}
	if s := b.status(); s.Disk != "" || b.state.Cold != nil {
		t.Errorf("after a good start: %q, %+v", s.Disk, b.state.Cold)
	}
}

func TestStartsThatAreNoVerdict(t *testing.T) {
	tests := []struct {
		name string
		then func(b *bench)
	}{
		{"went well", func(b *bench) {
			b.lock()
			b.StartedWell()
			b.Unlock()
		}},
		{"stopped on request", func(b *bench) {
			if err := b.StopAsked(); err != nil {
				b.t.Error(err)
			}
		}},
		{"the machine went down", func(b *bench) {
			b.lock()
			for i := range b.state.Cold.Open {
				b.state.Cold.Open[i].Boot = "another"
			}
			b.save(true)
			b.Unlock()
		}},
		{"it still runs", func(b *bench) {
			other := exec.Command("sleep", "60")
			if err := other.Start(); err != nil {
				b.t.Fatal(err)
			}
			b.t.Cleanup(func() { other.Process.Kill(); other.Wait() })
			b.lock()
			for i := range b.state.Cold.Open {
				b.state.Cold.Open[i] = lookUp(other.Process.Pid)
			}
			b.save(true)
			b.Unlock()
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, _, _ := updated(t)
			for range 2 * mostDead {
				b.open(func(o *Options) { o.Version = "9.9.3-good" })
				if back, err := b.countStart(); back || err != nil {
					t.Fatalf("put back: %v, %v", back, err)
				}
				if b.state.Cold != nil {
					test.then(b)
				}
			}
		})
	}
}

func TestBuildsThatAreNotWatched(t *testing.T) {
	t.Run("the first one", func(t *testing.T) {
		b := newBench(t, nil)
		b.lock()
		b.Unlock()
		if b.starts("1.0.0", 2*mostDead) || b.installed() != oldBytes {
			t.Error("changed")
		}
	})
	t.Run("chosen by hand", func(t *testing.T) {
		b := upgraded(t, nil)
		if _, err := b.Rollback(t.Context(), Request{Manual: true}); err != nil {
			t.Fatal(err)
		}
		b.Unlock()
		if b.starts("9.9.2-good", 2*mostDead) {
			t.Error("changed")
		}
	})
	t.Run("put there by somebody else", func(t *testing.T) {
		b, _, _ := updated(t)
		if err := os.WriteFile(b.path+".pkg", []byte("theirs"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(b.path+".pkg", b.path); err != nil {
			t.Fatal(err)
		}
		if b.starts("9.9.4", 2*mostDead) || b.installed() != "theirs" {
			t.Error("changed")
		}
	})
	t.Run("no way back, said on probation", func(t *testing.T) {
		b := newBench(t, nil)
		b.open(func(o *Options) {
			o.Handover = handoverFunc(func(_ context.Context, _ string, commit func() error) error {
				if err := b.NoWayBack(); err != nil {
					t.Error(err)
				}
				return commit()
			})
		})
		b.lock()
		b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
		if _, err := b.Upgrade(t.Context(), Request{}); err != nil {
			t.Fatal(err)
		}
		b.Unlock()
		if b.starts("9.9.2-good", 2*mostDead) {
			t.Error("put back")
		}
	})
	t.Run("no way back, said at a cold start", func(t *testing.T) {
		b, _, _ := updated(t)
		b.open(func(o *Options) { o.Version = "9.9.3-good" })
		if err := b.NoWayBack(); err != nil {
			t.Fatal(err)
		}
		if b.starts("9.9.3-good", 2*mostDead) {
			t.Error("put back")
		}
	})
	t.Run("another instance lives", func(t *testing.T) {
		b, _, _ := updated(t)
		b.starts("9.9.3-good", mostDead)
		b.lock()
		other := &bench{t: t, path: b.path, source: b.source, log: b.log}
		other.open(func(o *Options) { o.Version = "9.9.3-good" })
		if back, err := other.countStart(); back || err != nil {
			t.Errorf("put back: %v, %v", back, err)
		}
	})
}

// TestRecoveredRollbackQuarantines: a process that is killed when the previous version is back, but before the attempt has ended, leaves nothing out.
func TestRecoveredRollbackQuarantines(t *testing.T) {
	b, _, bad := updated(t)
	b.starts("9.9.3-good", mostDead)
	b.open(func(o *Options) { o.Version = "9.9.3-good" })
	b.Updater.step = func(p string) {
		if p == "history" {
			panic("killed")
		}
	}
	func() {
		defer func() { recover() }()
		b.countStart()
		t.Error("it survived")
	}()
	b.Updater.flock.Unlock()
	b.open(func(o *Options) { o.Version = "9.9.2-good" })
	b.lock()
	s := b.status()
	if s.Last == nil || s.Last.Reason != "crash-loop" || len(s.Quarantine) != 1 || s.Quarantine[0].Digest != bad {
		t.Errorf("last %+v, quarantine %+v", s.Last, s.Quarantine)
	}
	if c := b.state.Cold; c == nil || c.Back != nil {
		t.Errorf("watch %+v: it could go back once more", c)
	}
}
