package doctor

import (
	"fmt"
	"net"
	"strconv"

	"github.com/moult-go/moult/grace"
)

// parent looks at who waits for the end of which process.
func (f *facts) parent() []Finding {
	p := f.process
	switch {
	case f.unit != nil && f.unit.yes("PrivatePIDs"):
		return one(Warning, f.unit.name+" has PrivatePIDs", "the service manager cannot be told of a new main process: a parent stays instead, without watchdog and reload", f.unit.set("PrivatePIDs=no"))
	case p == nil:
		return nil
	case p.inner == 1:
		return one(Error, fmt.Sprintf("the process that serves, pid %d, is PID 1 of its container", p.pid), "the container ends with it, at the first handover", "let a parent stay: grace.StayParentAuto, which is the default")
	case f.stays:
		return fine("a parent of the same program stays above all generations")
	case f.above != nil && grace.FollowsOnePID(f.above.name) && f.unit == nil:
		return one(Error, fmt.Sprintf("the process that serves runs below %s, and no parent of the same program stays between them", f.above.name), "it takes the end of the first generation for the end of the service", "let a parent stay: grace.StayParentAuto, which is the default")
	}
	return fine("nobody takes the end of one generation for the end of the service")
}

const netBindService = 1 << 10 // CAP_NET_BIND_SERVICE

// ports looks at those below 1024: a successor inherits them, a cold start has to open them again.
func (f *facts) ports() []Finding {
	if f.process == nil || f.process.uid == 0 {
		return nil
	}
	low := ""
	for _, a := range f.Status.Listen {
		_, port, err := net.SplitHostPort(a)
		if n, _ := strconv.Atoi(port); err == nil && n > 0 && n < 1024 {
			low = a
		}
	}
	switch {
	case low == "":
		return nil
	case f.process.ambient&netBindService != 0:
		return fine("CAP_NET_BIND_SERVICE is ambient, for %s", low)
	case f.unit == nil: // opened by somebody who had the right to
		return nil
	}
	return one(Warning, fmt.Sprintf("it listens on %s without CAP_NET_BIND_SERVICE as an ambient capability", low), "handovers inherit the socket, but what a file's capability or another user opened may not open again at a cold start",
		f.unit.set("AmbientCapabilities=CAP_NET_BIND_SERVICE and CapabilityBoundingSet=CAP_NET_BIND_SERVICE"))
}

// memory wants room for two generations at the size that was measured, and for the child that stages the new one.
func (f *facts) memory() []Finding {
	if f.process == nil || f.process.rss == 0 || f.file == nil {
		return nil
	}
	child := 3*uint64(f.file.size) + 32<<20 // as docs/explanation/measurements.md has it
	need := max(2*f.process.rss, f.process.rss+child)
	found := fmt.Sprintf("the server has %d MB in memory; two of it, or one and the child that stages an update, need about %d MB", f.process.rss>>20, need>>20)
	mend := fmt.Sprintf("raise the limit of the control group to %d MB or more", need>>20)
	if f.unit != nil {
		mend = f.unit.set(fmt.Sprintf("MemoryMax=%dM", need>>20))
	}
	switch {
	case f.limits.memoryMax > 0 && f.limits.memoryMax < need:
		return one(Error, fmt.Sprintf("%s, and the limit is %d MB", found, f.limits.memoryMax>>20), "the kernel kills one of the two during a handover", mend)
	case f.limits.memoryHigh > 0 && f.limits.memoryHigh < need:
		return one(Warning, fmt.Sprintf("%s, and from %d MB on it is slowed down (memory.high)", found, f.limits.memoryHigh>>20), "a successor that starts slowly runs into the start timeout", mend)
	case f.limits.memoryMax > 0:
		return fine("%s; the limit is %d MB", found, f.limits.memoryMax>>20)
	}
	return fine("%s; there is no limit", found)
}

// spareTasks is what the staging child and the proof take beside a successor.
const spareTasks = 32

func (f *facts) tasks() []Finding {
	if f.process == nil || f.limits.tasksMax == 0 {
		return nil
	}
	need := f.limits.tasks + uint64(f.process.threads) + spareTasks
	found := fmt.Sprintf("%d threads of at most %d (pids.max)", f.limits.tasks, f.limits.tasksMax)
	if need <= f.limits.tasksMax {
		return fine("%s", found)
	}
	mend := fmt.Sprintf("raise pids.max of the control group to %d or more", 2*need)
	if f.unit != nil {
		mend = f.unit.set(fmt.Sprintf("TasksMax=%d", 2*need))
	}
	return one(Error, fmt.Sprintf("%s, and a handover needs %d", found, need), "the successor cannot start its threads, and dies", mend)
}

func (f *facts) files() []Finding {
	p := f.process
	if p == nil || p.files == 0 {
		return nil
	}
	found := fmt.Sprintf("%d open files of at most %d", p.open, p.files)
	mend := "raise RLIMIT_NOFILE where the server is started"
	if f.unit != nil {
		mend = f.unit.set("LimitNOFILE=65536")
	}
	switch {
	case p.files < 1024 || uint64(p.open)*10 > p.files*7:
		return one(Warning, found, "each generation has a limit of its own; the successor takes over the idle connections and accepts new ones beside them", mend)
	}
	return fine("%s", found)
}
