package grace

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/moult-go/moult/grace/role"
)

// StayParent says whether the process that a supervisor started stays as the parent of all generations. A supervisor that
// follows one pid takes the end of generation 1 for the end of the service: a container goes down with its PID 1, and
// mini-inits start the program anew, beside the generation that serves.
//
// The process that stays starts the program again as generation 1, from within [New], which never returns in it. It
// repeats to the serving generation every signal it gets, over a socket and never by pid; reaps whoever is orphaned
// below it; and exits when no generation is left, with the status of the one that served last (128+n if signal n
// ended that). If it is killed itself, the generations serve on. It reports readiness to a service manager, whose main
// process it is; watchdog pings and reloads are not spoken below it, so under systemd leave it off: there MAINPID moves.
//
// Only Linux has what it takes (PR_SET_CHILD_SUBREAPER): elsewhere StayParentOn makes New fail with
// errors.ErrUnsupported, and StayParentAuto is off.
type StayParent int

// StayParentAuto stays if this process is PID 1; if its parent is a mini-init or a process supervisor that follows one
// pid, is out of sight in another pid namespace (docker exec, a shared pid namespace), or is a shell that runs
// as PID 1. In these last cases it does not stay if NOTIFY_SOCKET is set, since a service manager that listens there is told of the new main process.
const (
	StayParentAuto StayParent = iota
	StayParentOn
	StayParentOff
)

// followers are programs that follow one pid, as /proc/PID/comm names them: 15 bytes at most.
var followers = []string{
	"tini", "tini-static", "docker-init", "dumb-init", "catatonit", "podman-init", "pid1", // mini-inits
	"conmon", "containerd-shim", "crun", "runc", // container runtimes, where the pid namespace is the host's
	"s6-supervise", "runsv", "supervise", "perpd", "supervise-daemo", // daemontools and its line
	"supervisord", "circusd", "god", "bluepilld",
	"foreman", "forego", "goreman", "hivemind", "overmind", "honcho",
}

// FollowsOnePID reports whether a program of that name, as /proc/PID/comm has it, is a mini-init or a supervisor that takes the end of the
// process it started for the end of the service: below one, a parent has to stay.
func FollowsOnePID(name string) bool { return slices.Contains(followers, name) }

// shells are what an entry script of a container runs in.
var shells = []string{"sh", "ash", "bash", "dash", "busybox"}

// ancestry is what the decision looks at.
type ancestry struct {
	pid, parent int
	name        string // of the parent, from /proc; "" if unknown
	notify      bool   // NOTIFY_SOCKET is set
}

// reason says why this process should stay, or "".
func (a ancestry) reason() string {
	switch {
	case a.pid == 1:
		return "it is PID 1"
	case a.notify:
		return ""
	case a.parent == 0:
		return "its parent is outside its pid namespace"
	case slices.Contains(followers, a.name):
		return "it runs below " + a.name
	case a.parent == 1 && (slices.Contains(shells, a.name) || strings.HasSuffix(a.name, ".sh")):
		return "it runs below a shell as PID 1"
	}
	return ""
}

// stay makes this process the parent that stays, if it is to be one: then it does not return.
func (o *Options) stay() error {
	if role.Current() != role.None || o.StayParent == StayParentOff {
		return nil
	}
	why := "it was asked for"
	if o.StayParent == StayParentAuto {
		if why = lookUp().reason(); why == "" {
			return nil
		}
	}
	err := becomeParent(o.Logger, o.StartTimeout, why)
	if o.StayParent == StayParentOn {
		return fmt.Errorf("grace: stay as the parent: %w", err)
	}
	o.Logger.Error("cannot stay as the parent: a handover will end what follows this process", "reason", why, "err", err)
	return nil
}

// What generations say to the parent that stays. HERE comes on the control socket, which all of them share, with one end of a
// socketpair; the rest on that, a link of their own. A parent lives as long as the line of
// processes, so it speaks to versions that are much newer: this never changes, but by what both sides may ignore.
const (
	msgHere    = "HERE"    // ← generation, pid; with a descriptor
	msgServing = "SERVING" // ← signals are for me from now on
	msgEnded   = "ENDED"   // ← pid and status of a successor that I have reaped
	msgSignal  = "SIGNAL"  // → number: raise it
)

// A parentLink is a generation's way to the parent that stays. All methods do nothing on nil.
type parentLink struct {
	control controlSocket // for successors
	link    *link
	gone    atomic.Bool
	reaping sync.Mutex // held while a successor is reaped, and from leave on
}

func (l *parentLink) nameServing() {
	if l != nil {
		l.link.send(newMessage(msgServing))
	}
}
