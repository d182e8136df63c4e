package doctor

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/moult-go/moult/updater"
)

// facts is all that the checks judge. A pointer is nil, and a number zero, where that is not known or does not apply.
type facts struct {
	Options
	now      time.Time
	file     *file // the installed executable
	home     owned // its directory
	state    owned // the state directory
	updater  *updater.Status
	trouble  error    // why no updater can be opened
	space    *space   // of the file system of the state directory
	process  *process // that serves
	above    *process // the first one above it that is not the same program
	stays    bool     // a parent of the same program stays above it
	unit     *unit
	limits   limits // of its control group
	expiries []updater.Expiry
	unsynced string // why the clock is not to be trusted, as the kernel says
	unseen   []error
}

// file is what matters of the installed executable.
type file struct {
	size         int64
	mode         os.FileMode
	capabilities bool // it has some of its own, as setcap writes them
}

// owned is a directory, and whose it is.
type owned struct {
	exists bool
	uid    int // -1 where nobody owns files
	mode   os.FileMode
}

func lookAtOwner(dir string) owned {
	fi, err := os.Lstat(dir)
	if err != nil {
		return owned{}
	}
	return owned{true, ownerOf(fi), fi.Mode()}
}

// space is what is left on a file system.
type space struct {
	free         uint64 // bytes
	nodes        uint64 // free inodes
	nodesLimited bool   // it has a fixed number of them
}

// process is one that runs, as procfs shows it.
type process struct {
	pid, parent int
	name        string
	inner       int    // its pid in its own namespace
	uid         int    // effective
	rss         uint64 // bytes
	threads     int
	effective   uint64 // capabilities
	ambient     uint64
	open        int    // files; 0: not known
	files       uint64 // most of them, as the soft limit says
	group       groups
}

// limits are the narrowest on the way from the root of the control groups to that of a process; 0: none.
type limits struct {
	memoryMax, memoryHigh uint64 // bytes
	tasks, tasksMax       uint64
}

// look gathers the facts.
func look(ctx context.Context, o Options) *facts {
	f := &facts{Options: o, now: time.Now()}
	if fi, err := os.Stat(o.InstallPath); err == nil {
		f.file = &file{fi.Size(), fi.Mode(), hasCapabilities(o.InstallPath)}
	} else {
		f.saw(err)
	}
	f.home, f.state = lookAtOwner(filepath.Dir(o.InstallPath)), lookAtOwner(o.StateDir)
	f.lookAtUpdater()
	dir := o.StateDir
	if _, err := os.Stat(dir); err != nil {
		dir = filepath.Dir(dir)
	}
	f.space = spaceOf(dir)
	f.unsynced = unsynchronised()
	f.lookAtFeed()
	if o.Status != nil && procfs != "" {
		f.lookAtProcess(procfs, o.Status.PID)
	}
	f.lookAtUnit(ctx)
	return f
}

// saw notes what could not be seen.
func (f *facts) saw(err error) { f.unseen = append(f.unseen, err) }

// lookAtUpdater takes the word of the server that runs, or asks an updater of this process.
func (f *facts) lookAtUpdater() {
	if f.Status != nil {
		f.updater = f.Status.Updater
		return
	}
	if f.Ask == nil || !f.state.exists || f.state.uid >= 0 && f.state.uid != os.Geteuid() {
		return
	}
	st, err := f.Ask()
	if err != nil {
		f.trouble = err
		return
	}
	f.updater = &st
}

// lookAtFeed takes what the last check saw, or what lies on the disk.
func (f *facts) lookAtFeed() {
	if f.updater != nil && len(f.updater.Expiries) > 0 {
		f.expiries = f.updater.Expiries
		return
	}
	var err error
	if f.expiries, err = readExpiries(filepath.Join(f.StateDir, "feed")); err != nil {
		f.saw(err)
	}
}

// lookAtProcess looks at the server, at what stands above it, and at its control group.
func (f *facts) lookAtProcess(proc string, pid int) {
	p, err := readProcess(proc, pid)
	if err != nil {
		f.saw(err)
		return
	}
	f.process = p
	if f.limits, err = readLimits(proc, p.group); err != nil {
		f.saw(err)
	}
	ours := map[int]bool{pid: true}
	for _, d := range f.Status.Draining {
		ours[d.PID] = true
	}
	above := p
	for above.parent > 0 {
		next, err := readProcess(proc, above.parent)
		if err != nil {
			return
		}
		if next.name != p.name {
			f.above = next
			return
		}
		above = next
		f.stays = f.stays || !ours[above.pid]
	}
}
