package path

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/moult-go/moult/updater"
)

// gather is how long events are collected before they lead to one look: a copy causes thousands.
const gather = 50 * time.Millisecond

// mostFlips is how often the links may change while they are followed; the next look goes on.
const mostFlips = 5

// Watch calls wake when what was dropped has changed: as soon as it is worth reading, and once more when file and signature
// should fit each other at last. It ends with ctx.
//
// Events only bring a look forward. They come from the parent directories of every component of the path, since a watched file is lost with the
// first link that flips; where there are none (remote file systems, no watches left), or if some are lost, the next look follows after
// [DefaultInterval] all the same.
func (s *Source) Watch(ctx context.Context, q updater.Query, wake func()) {
	dirs, err := s.listen()
	if err != nil {
		q.Logger.Info("no events from the file system: looking now and then", "path", s.file, "err", err)
	}
	defer dirs.close()
	poll := time.NewTicker(s.poll)
	defer poll.Stop()
	ready, late := stopped(), stopped()
	defer ready.Stop()
	defer late.Stop()
	for last, first := (look{}), true; ; first = false {
		dirs.follow(s.file, s.sidecar())
		if l, err := s.look(); err == nil && (first || l != last) {
			last = l
			now := time.Now()
			ready.Reset(l.unsettled(now, s.rest))
			if d := l.pending(now, s.patience); d > 0 {
				late.Reset(d + gather)
			}
		}
		if !dirs.await(ctx, poll.C, ready.C, late.C, wake) {
			return
		}
	}
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// directories is what the file system tells us about; it may be nothing.
type directories struct {
	w       *fsnotify.Watcher
	events  <-chan fsnotify.Event
	errs    <-chan error
	watched map[string]fs.FileInfo
	names   []string // that matter
}

// listenToDirectories opens a source of events.
func listenToDirectories() (*directories, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return &directories{}, err
	}
	return &directories{w: w, events: w.Events, errs: w.Errors, watched: map[string]fs.FileInfo{}}, nil
}

func (d *directories) close() {
	if d.w != nil {
		d.w.Close()
	}
}

// follow watches the directories that the files depend on now, and no others. Looking comes after it, so what changes meanwhile is seen
// or told. A directory that was moved away and made again has its old name and needs a new watch.
func (d *directories) follow(files ...string) {
	if d.w == nil {
		return
	}
	for range mostFlips { // until nothing has changed on the way
		d.names = nil
		for _, f := range files {
			d.names = append(d.names, chain(f)...)
		}
		wanted := map[string]bool{}
		for _, n := range d.names {
			wanted[filepath.Dir(n)] = true
		}
		if !d.adjust(wanted) {
			return
		}
	}
}

// adjust makes the watched directories those that are wanted, and reports whether a new one was added.
func (d *directories) adjust(wanted map[string]bool) (added bool) {
	have := d.w.WatchList() // without those that are gone
	for dir, was := range d.watched {
		fi, err := os.Stat(dir)
		if wanted[dir] && err == nil && os.SameFile(was, fi) && slices.Contains(have, dir) {
			continue
		}
		delete(d.watched, dir)
		d.w.Remove(dir)
	}
	for dir := range wanted {
		if d.watched[dir] != nil {
			continue
		}
		fi, err := os.Stat(dir)
		if err == nil && d.w.Add(dir) == nil { // else: the next look comes anyway
			d.watched[dir] = fi
			added = true
		}
	}
	return added
}

// await returns true when it is time to look again, and calls wake when a timer says so; false when ctx has ended.
func (d *directories) await(ctx context.Context, poll, ready, late <-chan time.Time, wake func()) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case e := <-d.events:
			if !d.matters(e) {
				continue
			}
			return d.collect(ctx)
		case <-d.errs: // events were lost
			return d.collect(ctx)
		case <-poll:
			return true
		case <-ready:
			wake()
		case <-late:
			wake()
		}
	}
}

// matters reports whether an event is about a name that we depend on, or a directory of one.
func (d *directories) matters(e fsnotify.Event) bool {
	name := filepath.Clean(e.Name)
	return slices.Contains(d.names, name) || d.watched[name] != nil
}

// collect drops the events of a burst: a look sees all that they tell of.
func (d *directories) collect(ctx context.Context) bool {
	burst := time.NewTimer(gather)
	defer burst.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-d.events:
		case <-d.errs:
		case <-burst.C:
			return true
		}
	}
}
