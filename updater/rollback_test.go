package updater

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
)

// upgraded is an installation of 9.9.3-good after 9.9.2-good, and a process that runs the newest.
func upgraded(t *testing.T, change func(*Options)) *bench {
	t.Helper()
	b := newBench(t, nil)
	for _, v := range []string{"9.9.2-good", "9.9.3-good"} {
		b.source.offer(v, candidate(t, v))
		if _, err := b.Upgrade(t.Context(), Request{}); err != nil {
			t.Fatal(err)
		}
	}
	b.open(func(o *Options) {
		o.Version = "9.9.3-good"
		if change != nil {
			change(o)
		}
	})
	b.lock()
	return b
}

func TestRollback(t *testing.T) {
	var started string
	b := upgraded(t, func(o *Options) {
		o.Handover = handoverFunc(func(_ context.Context, path string, commit func() error) error {
			started = path
			return commit()
		})
	})
	left := b.status().Installed
	out, err := b.Rollback(t.Context(), Request{Manual: true})
	if err != nil {
		t.Fatal(err)
	}
	if out.From != "9.9.3-good" || out.To != "9.9.2-good" || !out.Restarted || b.installed() != string(candidate(t, "9.9.2-good")) {
		t.Errorf("outcome %+v", out)
	}
	if !strings.Contains(started, "versions/9.9.2-good-") {
		t.Errorf("started %s", started)
	}
	s := b.status()
	if len(s.Quarantine) != 1 || s.Quarantine[0].Digest != left {
		t.Errorf("quarantine %+v", s.Quarantine)
	}
	b.wantTidy()
	b.Unlock()
	b.open(func(o *Options) { o.Version = "9.9.2-good" })
	_, err = b.Upgrade(t.Context(), Request{})
	wantError(t, err, Policy, "quarantined")
	if f, err := b.Check(t.Context(), Request{Version: "9.9.2-good", Manual: true}); err != nil || f.Stop != nil {
		t.Errorf("what runs is stopped: %+v, %v", f, err)
	}
}

func TestRollbackToANamedVersion(t *testing.T) {
	b := upgraded(t, nil)
	_, err := b.Rollback(t.Context(), Request{Manual: true, Version: "4.0.0"})
	wantError(t, err, Policy, "nothing-kept")
	// 1.0.0 is a script: it is kept, and refused by the proof all the same.
	_, err = b.Rollback(t.Context(), Request{Manual: true, Version: "1.0.0"})
	wantError(t, err, Verification, "not-executable")
	k := b.status().Kept
	if len(k) != 2 || k[0].Version != "9.9.2-good" || k[1].Version != "1.0.0" {
		t.Fatalf("kept %+v", k)
	}
	if err := os.WriteFile(b.versionFile(build(k[0])), []byte("tampered"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = b.Rollback(t.Context(), Request{Manual: true})
	wantError(t, err, Verification, "damaged")
}

func TestNothingToRollBackTo(t *testing.T) {
	b := newBench(t, nil)
	_, err := b.Rollback(t.Context(), Request{Manual: true})
	wantError(t, err, Policy, "nothing-kept")
}

// TestRestoreAfterAFailedRestart plays the package manager that installs a build which does not start.
func TestRestoreAfterAFailedRestart(t *testing.T) {
	b := newBench(t, func(o *Options) {
		o.Handover = handoverFunc(func(context.Context, string, func() error) error {
			t.Error("what runs was started again")
			return nil
		})
	})
	b.lock()
	if err := errors.Join(os.WriteFile(b.path+".pkg", []byte("broken"), 0o755), os.Rename(b.path+".pkg", b.path)); err != nil {
		t.Fatal(err)
	}
	b.RestartFailed(errors.New("it exited"))
	if s := b.status(); !strings.Contains(s.Disk, "it exited") {
		t.Errorf("status %+v", s)
	}
	out, err := b.Rollback(t.Context(), Request{Manual: true})
	if err != nil {
		t.Fatal(err)
	}
	s := b.status()
	if !out.Changed || !out.Restarted || b.installed() != oldBytes || s.Disk != "" || len(s.Quarantine) != 1 {
		t.Errorf("outcome %+v, status %+v", out, s)
	}
	// And once more: the copy must still be there.
	if err := errors.Join(os.WriteFile(b.path+".pkg", []byte("broken again"), 0o755), os.Rename(b.path+".pkg", b.path)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Rollback(t.Context(), Request{Manual: true}); err != nil || b.installed() != oldBytes {
		t.Errorf("the second time: %v", err)
	}
	b.RestartFailed(errors.New("x"))
	b.RestartFailed(nil)
	if s := b.status(); s.Disk != "" {
		t.Errorf("disk %q after it was cleared", s.Disk)
	}
}
