package updater

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLockWaitsForItsHolder(t *testing.T) {
	b := newBench(t, nil)
	b.lock()
	first := b.Updater
	b.open(nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := b.Lock(ctx); !errors.Is(err, ErrBusy) {
		t.Fatalf("lock while held: %v", err)
	}
	done := make(chan error)
	go func() { done <- b.Lock(t.Context()) }()
	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	b.Unlock()
}

// TestNothingIsRecoveredWhileTheSuccessorLives: its predecessor is dead, and it is about to adopt.
func TestNothingIsRecoveredWhileTheSuccessorLives(t *testing.T) {
	successor := exec.Command("sleep", "60")
	if err := successor.Start(); err != nil {
		t.Fatal(err)
	}
	kill := func() { successor.Process.Kill(); successor.Wait() }
	defer kill()
	b := abandoned(t, successor.Process.Pid, false)
	b.open(nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	wantError(t, b.Lock(ctx), Busy, "busy")
	if s := b.status(); s.Phase != "handing-over" {
		t.Fatalf("phase %s", s.Phase)
	}
	kill()
	b.lock()
	if s := b.status(); s.Last.Outcome != "interrupted" || b.installed() != oldBytes {
		t.Errorf("last attempt %+v", s.Last)
	}
	b.wantTidy()
}

// abandoned is an installation whose predecessor died during the handover of 9.9.2-good to the process pid.
func abandoned(t *testing.T, pid int, replaceFirst bool) *bench {
	t.Helper()
	b := newBench(t, nil)
	b.open(func(o *Options) {
		o.ReplaceFirst = replaceFirst
		o.Handover = handoverFunc(func(context.Context, string, func() error) error {
			b.Spawned(pid)
			panic("the predecessor dies")
		})
	})
	b.lock()
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	func() {
		defer func() { recover() }()
		b.Upgrade(t.Context(), Request{})
		t.Error("it survived")
	}()
	if err := b.Unlock(); err != nil { // as the kernel does
		t.Fatal(err)
	}
	return b
}

func TestAdopt(t *testing.T) {
	for _, replaceFirst := range []bool{false, true} {
		b := abandoned(t, os.Getpid(), replaceFirst)
		b.open(func(o *Options) { o.Version = "9.9.2-good" })
		// As if this process were the successor.
		b.Updater.running = b.source.offers[0].Digest
		staged := b.versionFile(build{"9.9.2-good", b.source.offers[0].Digest})
		b.image = func(int) (os.FileInfo, error) { return os.Stat(staged) }
		commit, err := b.Adopt(t.Context())
		if err != nil || commit == nil {
			t.Fatalf("adopt: %v, %v", commit == nil, err)
		}
		if !replaceFirst && b.installed() != oldBytes {
			t.Error("committed before the end of the probation")
		}
		if err := commit(); err != nil {
			t.Fatal(err)
		}
		if b.installed() != string(candidate(t, "9.9.2-good")) {
			t.Error("not installed")
		}
		if s := b.status(); s.Last.Outcome != "committed" || len(s.Kept) != 1 || b.state.Floor.String() != "9.9.2-good" {
			t.Errorf("status %+v, floor %s", s, b.state.Floor)
		}
		b.wantTidy()
		b.Unlock()
	}
}

// TestAdoptACommitBegun: the predecessor died between saying that it commits and doing so.
func TestAdoptACommitBegun(t *testing.T) {
	b := abandoned(t, os.Getpid(), false)
	b.state.Phase = journalCommitting
	if err := b.save(true); err != nil {
		t.Fatal(err)
	}
	b.open(func(o *Options) { o.Version = "9.9.2-good" })
	b.Updater.running = b.source.offers[0].Digest
	staged := b.versionFile(build{"9.9.2-good", b.source.offers[0].Digest})
	b.image = func(int) (os.FileInfo, error) { return os.Stat(staged) }
	commit, err := b.Adopt(t.Context())
	if err != nil || commit == nil {
		t.Fatalf("adopt: %v, %v", commit == nil, err)
	}
	if err := commit(); err != nil {
		t.Fatal(err)
	}
	if b.installed() != string(candidate(t, "9.9.2-good")) || b.state.Phase != journalIdle {
		t.Errorf("not installed, or the journal says %s", b.state.Phase)
	}
	b.wantTidy()
	b.Unlock()
}

// TestRecoverWithoutACopy: what cannot be put back is said, and does not keep this installation from its next update.
func TestRecoverWithoutACopy(t *testing.T) {
	b := abandoned(t, 1<<30, true)
	b.open(func(o *Options) { o.Version = "9.9.2-good" })
	kept := b.versionFile(build{"1.0.0", b.status().Kept[0].Digest})
	if err := os.WriteFile(kept, []byte("damaged"), 0o755); err != nil {
		t.Fatal(err)
	}
	b.lock()
	if s := b.status(); s.Phase != "idle" || !strings.Contains(s.Disk, "damaged") || s.Last.Outcome != "interrupted" {
		t.Errorf("status %+v", s)
	}
	b.source.offer("9.9.3-good", candidate(t, "9.9.3-good"))
	if _, err := b.Upgrade(t.Context(), Request{}); err != nil || b.installed() != string(candidate(t, "9.9.3-good")) {
		t.Errorf("the next update: %v", err)
	}
}

func TestAdoptWithNothingToCommit(t *testing.T) {
	b := newBench(t, nil)
	commit, err := b.Adopt(t.Context())
	if commit != nil || err != nil {
		t.Errorf("adopt: %v, %v", commit != nil, err)
	}
	if _, err := b.Adopt(t.Context()); !errors.Is(err, ErrBusy) {
		t.Errorf("twice: %v", err)
	}
	b.Unlock()
}

func TestProcessIdentity(t *testing.T) {
	p := lookUp(os.Getpid())
	if !p.lives() || !p.isSelf() {
		t.Errorf("%+v does not live", p)
	}
	other := p
	other.Boot += "x"
	if other.lives() {
		t.Error("it lives across a reboot")
	}
	if other = p; p.Start != "" {
		if other.Start += "1"; other.lives() {
			t.Error("its number was used again, and it lives")
		}
	}
}

func TestUnsafeStateDirs(t *testing.T) {
	tests := []struct {
		name string
		make func(dir string) error
	}{
		{"a link", func(dir string) error { return os.Symlink(t.TempDir(), dir) }},
		{"a file", func(dir string) error { return os.WriteFile(dir, nil, 0o600) }},
		{"writable by others", func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o770)) }},
		{"a part of it is a link", func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.Symlink(t.TempDir(), filepath.Join(dir, "versions")))
		}},
		{"not there to be made in", func(dir string) error { return os.RemoveAll(filepath.Dir(dir)) }},
		{"of another user", func(dir string) error {
			if os.Geteuid() != 0 {
				return os.Symlink("/", dir) // cannot be made by others than root
			}
			return errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, 12345, 12345))
		}},
		{"on another file system", func(dir string) error { return os.Symlink("/", dir) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			exe := filepath.Join(t.TempDir(), "hello")
			if err := os.WriteFile(exe, nil, 0o755); err != nil {
				t.Fatal(err)
			}
			state := filepath.Join(t.TempDir(), "x", "state")
			if err := errors.Join(os.Mkdir(filepath.Dir(state), 0o700), test.make(state)); err != nil {
				t.Fatal(err)
			}
			_, err := New(Options{Name: "hello", InstallPath: exe, StateDir: state})
			wantError(t, err, Permission, "state-dir")
		})
	}
	if fi, err := os.Stat("/dev/shm"); err == nil && fi.IsDir() {
		state, err := os.MkdirTemp("/dev/shm", "updater")
		if err != nil {
			t.Skip(err)
		}
		defer os.RemoveAll(state)
		exe := filepath.Join(t.TempDir(), "hello")
		if err := os.WriteFile(exe, nil, 0o755); err != nil {
			t.Fatal(err)
		}
		_, err = New(Options{Name: "hello", InstallPath: exe, StateDir: state})
		wantError(t, err, Permission, "other-file-system")
	}
}

func TestNewRefuses(t *testing.T) {
	for _, o := range []Options{{}, {Name: "../x"}, {Name: "x", Channel: "a/b"}, {Name: "x", ProofTimeout: -1}} {
		_, err := New(o)
		wantError(t, err, Usage, "bad-options")
	}
	_, err := New(Options{Name: "x", InstallPath: filepath.Join(t.TempDir(), "none")})
	wantError(t, err, Failed, "io")
}

func TestInstallPathFollowsLinks(t *testing.T) {
	b := newBench(t, nil)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(b.path, link); err != nil {
		t.Fatal(err)
	}
	path := b.path
	b.open(func(o *Options) { o.InstallPath = link })
	want, _ := filepath.EvalSymlinks(path)
	if b.InstallPath() != want || b.StateDir() != filepath.Join(filepath.Dir(want), ".hello.d") {
		t.Errorf("install path %s, state directory %s", b.InstallPath(), b.StateDir())
	}
}

func TestFileWord(t *testing.T) {
	for in, want := range map[string]string{"1.2.3+a-b": "1.2.3+a-b", "": "unknown", "../../x": "_.__.._x", ".": "_", "a b": "a_b"} {
		if got := fileWord(in); got != want && !(in == "../../x" && filepath.Base(got) == got) {
			t.Errorf("fileWord(%q) = %q, want %q", in, got, want)
		}
	}
}
