package updater

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// needRoot skips what only root may arrange.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// mounted is an empty file system in memory of this size, with an installation on it.
func mounted(t *testing.T, size, flags string) *bench {
	t.Helper()
	needRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skip("mount: ", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	b := &bench{t: t, path: filepath.Join(dir, "hello"), source: &fakeSource{}, log: io.Discard}
	if err := os.WriteFile(b.path, []byte(oldBytes), 0o755); err != nil {
		t.Fatal(err)
	}
	b.open(nil)
	b.lock()
	remount := map[string]uintptr{"ro": unix.MS_RDONLY, "noexec": unix.MS_NOEXEC}
	if f, ok := remount[flags]; ok {
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT|f, "size="+size); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// wantRefusal: the reason is known before anything is fetched, and the check says it too.
func wantRefusal(t *testing.T, b *bench, c Class, reason string) {
	t.Helper()
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	_, err := b.Upgrade(t.Context(), Request{Manual: true})
	wantError(t, err, c, reason)
	if b.source.fetched != 0 {
		t.Error("fetched before it was refused")
	}
	if b.installed() != oldBytes {
		t.Error("installed")
	}
	f, err := b.Check(t.Context(), Request{Manual: true})
	if err != nil || f.Stop == nil || f.Stop.Reason != reason {
		t.Errorf("check: %+v, %v", f.Stop, err)
	}
	if o := b.status().Obstacle; o == nil || o.Reason != reason || o.Error == "" {
		t.Errorf("status: %+v", o)
	}
}

func TestReadOnlyMount(t *testing.T) {
	wantRefusal(t, mounted(t, "64m", "ro"), Permission, "read-only")
}
func TestNoexecMount(t *testing.T) {
	wantRefusal(t, mounted(t, "64m", "noexec"), Permission, "noexec")
}

func TestOtherMountOfTheSameFileSystem(t *testing.T) {
	needRoot(t)
	b := newBench(t, nil)
	state := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(state, state, "", unix.MS_BIND, ""); err != nil {
		t.Skip("bind mount: ", err)
	}
	t.Cleanup(func() { unix.Unmount(state, unix.MNT_DETACH) })
	b.open(func(o *Options) { o.StateDir = state })
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	_, err := b.Upgrade(t.Context(), Request{Manual: true})
	wantError(t, err, Permission, "other-file-system")
}

// TestMountedExecutable: where the file itself is a mount, as containers bind one file, the rename at the end would fail.
func TestMountedExecutable(t *testing.T) {
	needRoot(t)
	b := newBench(t, nil)
	b.lock()
	if err := unix.Mount(b.path, b.path, "", unix.MS_BIND, ""); err != nil {
		t.Skip("bind mount: ", err)
	}
	defer unix.Unmount(b.path, unix.MNT_DETACH)
	fresh := b.path + ".new"
	if err := os.WriteFile(fresh, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, b.path); err == nil {
		t.Fatal("the kernel renames over it: the check is for nothing")
	}
	wantRefusal(t, b, Permission, "mount-point")
}

func TestImmutable(t *testing.T) {
	needRoot(t)
	b := newBench(t, nil)
	for _, name := range []string{b.path, filepath.Dir(b.path)} {
		if out, err := exec.Command("chattr", "+i", name).CombinedOutput(); err != nil {
			t.Skipf("chattr: %v %s", err, out)
		}
		t.Cleanup(func() { exec.Command("chattr", "-i", name).Run() })
		wantRefusal(t, b, Permission, "immutable")
		if err := exec.Command("chattr", "-i", name).Run(); err != nil {
			t.Fatal(err)
		}
	}
	if o := b.status().Obstacle; o != nil {
		t.Errorf("status without the bit: %+v", o)
	}
	if _, err := b.Upgrade(t.Context(), Request{Manual: true}); err != nil {
		t.Errorf("without the bit: %v", err)
	}
}

// TestFullDisk: on a file system that is too small at one size after the other, so that every write is the first to fail somewhere, nothing is lost, the
// error says that the disk is full, and with room the same update works.
func TestFullDisk(t *testing.T) {
	payload := candidate(t, "9.9.2-good")
	b := mounted(t, "64m", "")
	b.source.offer("9.9.2-good", payload)
	b.Updater.o.Interval = 1
	dir := filepath.Dir(b.path)
	ballast := filepath.Join(dir, "ballast")
	reasons := map[string]int{}
	// The big writes are the download, the staged file and what the child starts from; the small ones between them are met by steps of a page.
	var rooms []int
	for n := range 5 {
		rooms = append(rooms, n*len(payload)/2)
		for page := range 6 {
			rooms = append(rooms, n*len(payload)+page*4096)
		}
	}
	slices.Sort(rooms)
	for _, room := range rooms {
		if err := fill(dir, ballast, room); err != nil {
			t.Fatal(err)
		}
		_, err := b.bringAll(t)
		if err == nil {
			break
		}
		var e *Error
		if !errors.As(err, &e) || e.Class != Temporary || e.Reason != "disk-space" {
			t.Errorf("%d bytes left: %v (%+v)", room, err, e)
		}
		where, _, _ := strings.Cut(err.Error(), ":")
		reasons[where]++
		if b.installed() != oldBytes {
			t.Fatalf("%d bytes left: the installed file is damaged", room)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if len(b.status().Quarantine) > 0 {
			t.Fatal("the build is blamed for a full disk")
		}
	}
	t.Logf("failed at: %v", reasons)
	if b.installed() != string(payload) {
		os.Remove(ballast)
		if _, err := b.Upgrade(t.Context(), Request{Manual: true}); err != nil {
			t.Errorf("with room: %v", err)
		}
	}
	b.wantTidy()
}

// bringAll is an upgrade without the look at the free space that comes first.
func (b *bench) bringAll(t *testing.T) (Outcome, error) {
	end, err := b.begin()
	if err != nil {
		return Outcome{}, err
	}
	defer end()
	c := b.source.offers[0]
	trial := &trial{build: build{c.Version.String(), c.Digest}, platform: c.Platform}
	if err := b.newAttempt(trial, kindUpgrade, nil); err != nil {
		return Outcome{}, err
	}
	return b.finish(t.Context(), Request{}, trial, b.bring(t.Context(), Request{}, trial, c))
}

// fill leaves room bytes on the file system.
func fill(dir, ballast string, room int) error {
	free, err := freeSpace(dir)
	if err != nil {
		return err
	}
	f, err := os.Create(ballast)
	if err != nil {
		return err
	}
	return errors.Join(syscall.Fallocate(int(f.Fd()), 0, 0, max(1, int64(free)-int64(room))), f.Close())
}

// TestTextBusy really provokes it: another process has the staged file open for writing when it is to be proven, for a while.
func TestTextBusy(t *testing.T) {
	b := newBench(t, nil)
	b.lock()
	c := b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	var writer *os.File
	busy := 0
	b.Updater.step = func(p string) {
		if p != "prove" {
			return
		}
		staged := b.versionFile(build{"9.9.2-good", c.Digest})
		var err error
		if writer, err = os.OpenFile(staged, os.O_WRONLY, 0); err != nil {
			t.Error(err)
			return
		}
		if err := exec.Command(staged).Start(); isTextBusy(err) {
			busy++
		}
		time.AfterFunc(100*time.Millisecond, func() { writer.Close() }) // well before the last try
	}
	_, err := b.Upgrade(context.Background(), Request{})
	if err != nil || busy == 0 {
		t.Errorf("busy %d times: %v", busy, err)
	}
}
