package updater

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
)

// quick looks often, and knows no package manager.
func (b *bench) quick() {
	b.t.Helper()
	b.poll, b.rest, b.managers = time.Millisecond, 20*time.Millisecond, nil
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.learnRunning(); err != nil {
		b.t.Fatal(err)
	}
}

// put renames another file over the installed one, as package managers do.
func (b *bench) put(bytes string) {
	b.t.Helper()
	tmp := b.path + ".dpkg-new"
	if err := errors.Join(os.WriteFile(tmp, []byte(bytes), 0o755), os.Rename(tmp, b.path)); err != nil {
		b.t.Fatal(err)
	}
}

// due reports whether a restart is due: soon, or if it should be, within a time in which any machine comes to it.
func (b *bench) due(should bool) bool {
	b.t.Helper()
	patience := 200 * time.Millisecond
	if should {
		patience = 20 * time.Second
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	err := b.Replaced(ctx)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		b.t.Fatal(err)
	}
	return err == nil
}

func TestReplaced(t *testing.T) {
	for _, tt := range []struct {
		name           string
		held, followed bool
		change         func(b *bench)
		due            bool
	}{
		{"nothing", false, true, func(*bench) {}, false},
		{"without the lock", false, false, func(b *bench) { b.put("another") }, true},
		{"with it", true, false, func(b *bench) { b.put("another") }, false},
		{"with it, and told to", true, true, func(b *bench) { b.put("another") }, true},
		{"the same bytes", true, true, func(b *bench) { b.put(oldBytes) }, false},
		{"touched", true, true, func(b *bench) { os.Chtimes(b.path, time.Now(), time.Now()) }, false},
		{"gone", true, true, func(b *bench) { os.Remove(b.path) }, false},
		{"committed here by the last holder", true, false, func(b *bench) {
			b.put("another")
			d, _ := b.diskDigest()
			b.state.Last = &Attempt{Outcome: outcomeCommitted, Digest: d}
		}, true},
		{"rolled back here by the last holder", true, false, func(b *bench) {
			b.put("another")
			d, _ := b.diskDigest()
			b.state.Last = &Attempt{Outcome: outcomeRolledBack, Digest: d}
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, func(o *Options) { o.FollowInstalled = tt.followed })
			if tt.held {
				b.lock()
			}
			b.quick()
			tt.change(b)
			if due := b.due(tt.due); due != tt.due {
				t.Errorf("due: %v", due)
			}
		})
	}
}

// TestReplacedWhileItStarted: a successor whose path was replaced once more, while it was on probation, is not the version that it finds there.
func TestReplacedWhileItStarted(t *testing.T) {
	b := newBench(t, nil)
	b.ownImage = true // a test binary, which the install path never held
	b.poll, b.rest, b.managers = time.Millisecond, time.Millisecond, nil
	if !b.due(true) {
		t.Error("not due")
	}
}

// TestKeepsItsOwnImage: what runs is kept from start-up even if its file was replaced before it had a second name.
func TestKeepsItsOwnImage(t *testing.T) {
	b := newBench(t, nil)
	b.ownImage = true
	b.lock()
	s := b.status()
	if len(s.Kept) != 1 || s.Kept[0].Version != "1.0.0" || s.Kept[0].Digest == s.Installed {
		t.Fatalf("kept %+v", s.Kept)
	}
	own, _, err := release.DigestFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if !digestIs(b.versionFile(build(s.Kept[0])), own) || s.Kept[0].Digest != own {
		t.Error("it is not this executable")
	}
	if b.installed() != oldBytes {
		t.Error("the install path has changed")
	}
}

// TestReplacedBeforeItIsKept: the file is replaced after it was looked at and before it gets its second name.
func TestReplacedBeforeItIsKept(t *testing.T) {
	own, _, err := release.DigestFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range []bool{true, false} {
		b := newBench(t, nil)
		b.lock()
		id, err := identifyFile(b.path)
		if err != nil {
			t.Fatal(err)
		}
		runs := build{"1.1.0", own}
		b.ownImage, b.running = image, own
		b.digests = digestCache{id, own} // what the look saw
		err = b.keepNow(runs)
		if image && (err != nil || !digestIs(b.versionFile(runs), own)) {
			t.Errorf("the image of this process: %v", err)
		}
		if _, statErr := os.Stat(b.versionFile(runs)); !image && (err == nil || statErr == nil) {
			t.Errorf("another file is kept: %v", err)
		}
	}
}

// TestReplacedWaitsForTheWriter, however long the file takes to be whole, and whether or not it is there meanwhile.
func TestReplacedWaitsForTheWriter(t *testing.T) {
	b := newBench(t, nil)
	b.quick()
	b.rest = 500 * time.Millisecond
	os.Remove(b.path)
	f, err := os.OpenFile(b.path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	done := make(chan error, 1)
	go func() { done <- b.Replaced(t.Context()) }()
	for began := time.Now(); time.Since(began) < 3*b.rest/2; {
		if _, err := f.WriteString("a part"); err != nil {
			t.Fatal(err)
		}
		wrote := time.Now()
		select {
		case err := <-done:
			if rested := time.Since(wrote); rested < b.rest || err != nil { // or we were the slow ones
				t.Fatalf("due %s after it was written: %v", rested, err)
			}
			return
		case <-time.After(10 * time.Millisecond): // the writer's pace
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestReplacedWaitsForTheHolder: with replace-first the path holds a version that may still be taken back.
func TestReplacedWaitsForTheHolder(t *testing.T) {
	holder := abandoned(t, os.Getpid(), true)
	b := &bench{t: t, path: holder.path, source: holder.source, log: holder.log}
	b.open(nil)
	b.put(oldBytes) // what it runs
	b.quick()
	b.put("on probation")
	if b.due(false) {
		t.Fatal("due while the holder's attempt may be undone")
	}
	b.state.Phase, b.state.Attempt = journalIdle, nil
	if err := b.save(true); err != nil { // the holder's end of it
		t.Fatal(err)
	}
	if !b.due(true) {
		t.Error("not due when it is over")
	}
}

// TestSpurned: what a restart failed with is not due again until it is another build; a person may still ask for it.
func TestSpurned(t *testing.T) {
	b := newBench(t, nil)
	b.quick()
	b.put("no executable")
	for try := range 2 {
		if due := b.due(try == 0); due != (try == 0) {
			t.Fatalf("try %d: due %v", try, due)
		}
		if err := b.ProveInstalled(t.Context()); err == nil {
			t.Fatal("proven")
		} else {
			b.RestartFailed(err)
		}
	}
	b.put("no executable") // the same bytes
	if b.due(false) {
		t.Error("due again for its new name")
	}
	b.put("another one")
	if !b.due(true) {
		t.Error("another build is not due")
	}
	b.trying()
	b.put("a third one") // while the restart with that one fails
	b.RestartFailed(errors.New("crashed"))
	if !b.due(true) {
		t.Error("a build that was not tried is not due")
	}
}

// TestFollowerWritesNothing: of several instances only the holder of the lock touches install path and state directory.
func TestFollowerWritesNothing(t *testing.T) {
	b := newBench(t, nil)
	b.lock()
	holder := b.Updater
	b.open(nil)
	b.quick()
	b.put("no executable")
	tree := func() (all string) {
		err := filepath.WalkDir(filepath.Dir(b.path), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			fi, err := d.Info()
			if err == nil {
				all += path + fi.ModTime().String() + fi.Mode().String() + "\n"
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := tree()
	if b.Updater == holder || !b.due(true) {
		t.Fatal("not due")
	}
	b.RestartFailed(b.ProveInstalled(t.Context()))
	b.Spawned(os.Getpid())
	b.Standby()
	if after := tree(); after != before {
		t.Errorf("before:\n%safter:\n%s", before, after)
	}
}
