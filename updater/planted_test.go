//go:build unix

package updater

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// plants are the things that somebody may have put where a file of ours is to be. Each knows whether a victim of it was touched.
var plants = []struct {
	name  string
	plant func(at, victim string) error
}{
	{"symbolic link", func(at, victim string) error { return os.Symlink(victim, at) }},
	{"dangling link", func(at, victim string) error { return os.Symlink(victim+".new", at) }},
	{"link to a directory", func(at, victim string) error { return os.Symlink(filepath.Dir(victim), at) }},
	{"hard link", func(at, victim string) error { return os.Link(victim, at) }},
	{"pipe", func(at, _ string) error { return syscall.Mkfifo(at, 0o666) }},
	{"directory", func(at, _ string) error {
		return errors.Join(os.Mkdir(at, 0o700), os.WriteFile(filepath.Join(at, "x"), nil, 0o600))
	}},
	{"file of another user", func(at, _ string) error {
		return errors.Join(os.WriteFile(at, []byte("theirs"), 0o666), os.Chown(at, 12345, 12345))
	}},
}

// TestPlantedNames: whatever stands at a name that we use, the update is carried out or refused in words, it does not wait, and nobody else's file
// is read into, written or removed.
func TestPlantedNames(t *testing.T) {
	const version = "9.9.2-good"
	payload := candidate(t, version)
	var d = (&fakeSource{}).offer(version, payload).Digest
	staged := "versions/" + version + "-" + d.Short()
	names := []string{"lock", stateFile, "." + stateFile + ".tmp", historyFile, "." + historyFile + ".tmp", seedFile,
		"download/" + d.Short() + ".part", staged, staged + "/hello", staged + "/.base.new", staged + "/base", "versions/.put.tmp"}
	for _, name := range names {
		for _, p := range plants {
			t.Run(p.name+" at "+name, func(t *testing.T) {
				victim := filepath.Join(t.TempDir(), "victim")
				if err := os.WriteFile(victim, []byte("untouched"), 0o604); err != nil {
					t.Fatal(err)
				}
				b := newBench(t, nil)
				at := filepath.Join(b.dir, name)
				if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := p.plant(at, victim); errors.Is(err, fs.ErrPermission) {
					t.Skip("cannot be planted by this user: ", err)
				} else if err != nil {
					t.Fatal(err)
				}
				b.source.offer(version, payload)
				_, err := b.Upgrade(t.Context(), Request{})
				if _, seedErr := b.seed(); seedErr != nil {
					t.Errorf("seed: %v", seedErr)
				}
				if err != nil {
					t.Errorf("upgrade: %v", err)
				}
				if got := b.installed(); got != string(payload) {
					t.Error("not installed")
				}
				if got, err := os.ReadFile(victim); err != nil || string(got) != "untouched" {
					t.Errorf("the victim holds %q, %v", got, err)
				}
				fi, err := os.Lstat(victim)
				if err != nil || fi.Mode() != 0o604 {
					t.Errorf("the victim's mode is %v, %v", fi.Mode(), err)
				}
				if left, _ := os.ReadDir(filepath.Dir(victim)); len(left) != 1 {
					t.Errorf("beside the victim: %v", left)
				}
				if h, err := b.History(); err != nil || len(h) != 1 {
					t.Errorf("history %v, %v", h, err)
				}
				b.wantTidy()
			})
		}
	}
}

// TestStateDirSwapped: once it is open, what is put in the place of the state directory is neither read nor written, and
// what lies there is not executed.
func TestStateDirSwapped(t *testing.T) {
	b := newBench(t, nil)
	b.lock()
	theirs := t.TempDir()
	if err := errors.Join(os.Rename(b.dir, b.dir+".moved"), os.Symlink(theirs, b.dir)); err != nil {
		t.Fatal(err)
	}
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	_, err := b.Upgrade(t.Context(), Request{})
	wantError(t, err, Permission, "state-dir")
	if b.installed() != oldBytes {
		t.Error("installed all the same")
	}
	if left, _ := os.ReadDir(theirs); len(left) > 0 {
		t.Errorf("written: %v", left)
	}
	if err := errors.Join(os.Remove(b.dir), os.Rename(b.dir+".moved", b.dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Upgrade(t.Context(), Request{}); err != nil {
		t.Errorf("with the directory back in its place: %v", err)
	}
}

// TestStateDirSwappedOnProbation: nor is it committed from there.
func TestStateDirSwappedOnProbation(t *testing.T) {
	b := newBench(t, nil)
	b.open(func(o *Options) {
		o.Handover = handoverFunc(func(_ context.Context, _ string, commit func() error) error {
			if err := errors.Join(os.Rename(b.dir, b.dir+".moved"), os.CopyFS(b.dir, os.DirFS(b.dir+".moved"))); err != nil {
				t.Fatal(err)
			}
			return &undone{true, true, false, commit()}
		})
	})
	b.lock()
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	_, err := b.Upgrade(t.Context(), Request{})
	wantError(t, err, Undone, "state-dir")
	if b.installed() != oldBytes {
		t.Error("installed all the same")
	}
}

func TestExposed(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	sticky := filepath.Join(dir, "sticky")
	err := errors.Join(os.MkdirAll(filepath.Join(open, "bin"), 0o755), os.MkdirAll(filepath.Join(sticky, "bin"), 0o755),
		os.Chmod(open, 0o777), os.Chmod(sticky, 0o777|os.ModeSticky))
	if err != nil {
		t.Fatal(err)
	}
	if got := exposed(filepath.Join(open, "bin", "hello")); len(got) == 0 || got[0] != open {
		t.Errorf("exposed %v, want %s", got, open)
	}
	for _, d := range exposed(filepath.Join(sticky, "bin", "hello")) {
		if strings.HasPrefix(d, dir) {
			t.Errorf("exposed %s", d)
		}
	}
}
