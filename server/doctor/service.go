package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// isNotify reports whether the unit follows a service that says who it is.
func (u *unit) isNotify() bool {
	return u.properties["Type"] == "notify" || u.properties["Type"] == "notify-reload"
}

func (f *facts) unitType() []Finding {
	switch {
	case f.unit == nil:
		return nil
	case f.unit.isNotify():
		return fine("%s is Type=%s", f.unit.name, f.unit.properties["Type"])
	}
	return one(Error, fmt.Sprintf("%s is Type=%s", f.unit.name, f.unit.properties["Type"]),
		"the service manager takes the end of the first process for the end of the service, and kills its successor", f.unit.set("Type=notify"))
}

func (f *facts) notifyAccess() []Finding {
	if f.unit == nil {
		return nil
	}
	switch access := f.unit.properties["NotifyAccess"]; access {
	case "all":
		return fine("NotifyAccess=all")
	case "none":
		return one(Error, "NotifyAccess=none", "nobody can tell the service manager of the new main process", f.unit.set("NotifyAccess=all"))
	default:
		return one(Warning, "NotifyAccess="+access, "if a new version dies while its predecessor drains, that one serves again, and the service manager does not listen to it", f.unit.set("NotifyAccess=all"))
	}
}

func (f *facts) killMode() []Finding {
	if f.unit == nil {
		return nil
	}
	switch mode := f.unit.properties["KillMode"]; mode {
	case "mixed":
		return fine("KillMode=mixed")
	case "control-group":
		return fine("KillMode=control-group: each generation takes the stop for itself")
	default:
		return one(Warning, "KillMode="+mode, "generations that still drain outlive a stop, and hold their ports and files", f.unit.set("KillMode=mixed"))
	}
}

func (f *facts) oomPolicy() []Finding {
	if f.unit == nil {
		return nil
	}
	switch policy := f.unit.properties["OOMPolicy"]; policy {
	case "continue", "":
		return fine("OOMPolicy=continue")
	default:
		return one(Warning, "OOMPolicy="+policy, "a new version that is too large for the unit's memory takes the old one, which serves, down with it", f.unit.set("OOMPolicy=continue"))
	}
}

// stop looks at how long a stop may take, and whether the service manager waits.
func (f *facts) stop() []Finding {
	if f.unit == nil {
		return nil
	}
	limit, infinite, known := f.unit.span("TimeoutStopUSec")
	switch {
	case f.unit.properties["ExecStop"] == "":
		return one(Warning, f.unit.name+" has no ExecStop", "after a handover the main process is no child of the service manager, which may kill it right after TERM: requests under way are lost",
			f.unit.set(`ExecStop=/bin/sh -c 'kill -TERM $$MAINPID && exec tail --pid=$$MAINPID --sleep-interval=0.1 -f /dev/null'`))
	case !known || infinite:
		return fine("a stop may take as long as the drain")
	case f.DrainTimeout < 0:
		return one(Warning, fmt.Sprintf("the drain has no deadline, and TimeoutStopSec is %s", limit), "requests that take longer are cut at a stop", f.unit.set("TimeoutStopSec=infinity"))
	case limit < f.DrainTimeout && !f.unit.isNotify():
		return one(Warning, fmt.Sprintf("TimeoutStopSec is %s, the drain deadline %s", limit, f.DrainTimeout), "requests that take longer are cut at a stop", f.unit.set(fmt.Sprintf("TimeoutStopSec=%d", int((f.DrainTimeout+30*time.Second).Seconds()))))
	case limit < f.DrainTimeout:
		return fine("TimeoutStopSec is %s; the service asks for the rest of its drain deadline of %s", limit, f.DrainTimeout)
	}
	return fine("TimeoutStopSec is %s, the drain deadline %s", limit, f.DrainTimeout)
}

func (f *facts) startTimeout() []Finding {
	if f.unit == nil {
		return nil
	}
	limit, infinite, known := f.unit.span("TimeoutStartUSec")
	if !known || infinite || limit >= f.StartTimeout {
		return fine("the service manager waits for a start as long as a handover does")
	}
	return one(Warning, fmt.Sprintf("TimeoutStartSec is %s, the start timeout of a handover %s", limit, f.StartTimeout), "a version that starts slowly is handed over to, and its next cold start fails",
		f.unit.set(fmt.Sprintf("TimeoutStartSec=%d", int((f.StartTimeout+30*time.Second).Seconds()))))
}

func (f *facts) restart() []Finding {
	if f.unit == nil {
		return nil
	}
	switch r := f.unit.properties["Restart"]; r {
	case "always", "on-failure", "on-abnormal":
		return fine("Restart=%s", r)
	default:
		return one(Warning, "Restart="+r, "if the process that hands over is killed, the unit ends, and nobody starts the committed version again", f.unit.set("Restart=on-failure"))
	}
}

func (f *facts) watchdog() []Finding {
	if f.unit == nil {
		return nil
	}
	limit, infinite, known := f.unit.span("WatchdogUSec")
	switch {
	case !known || infinite || limit == 0:
		return fine("no watchdog")
	case limit < 4*f.HealthInterval:
		return one(Warning, fmt.Sprintf("WatchdogSec is %s, the health interval %s", limit, f.HealthInterval), "one slow health check, on a loaded host, and the service is restarted cold",
			f.unit.set(fmt.Sprintf("WatchdogSec=%d", max(30, int(10*f.HealthInterval.Seconds())))))
	}
	return fine("WatchdogSec is %s, the health interval %s", limit, f.HealthInterval)
}

// needed are system calls without which there is no handover, or no replacement.
var needed = []string{"execve", "clone", "socketpair", "sendmsg", "recvmsg", "waitid", "wait4", "fcntl", "prctl", "linkat", "renameat", "fsync", "flock", "fchmod", "fchown"}

func (f *facts) seccomp() []Finding {
	if f.unit == nil || f.unit.properties["SystemCallFilter"] == "" {
		return nil
	}
	var missing []string
	for _, call := range needed {
		if !f.unit.allows("SystemCallFilter", call) {
			missing = append(missing, call)
		}
	}
	if len(missing) == 0 {
		return fine("SystemCallFilter lets through what a handover needs")
	}
	return one(Error, "SystemCallFilter keeps "+strings.Join(missing, " ")+" from the service", "a handover starts a process, and an update replaces a file, by them",
		f.unit.set("SystemCallFilter="+strings.Join(missing, " ")+"; the whole group that a service needs is @system-service"))
}

// allows reports whether name passes a list of the unit: one of what may be, or, with a tilde, of what may not. A name may have an error number
// behind it, or an action.
func (u *unit) allows(property, name string) bool {
	text, isDenied := strings.CutPrefix(u.properties[property], "~")
	listed := slices.ContainsFunc(strings.Fields(text), func(w string) bool {
		w, _, _ = strings.Cut(w, ":")
		return w == name
	})
	return listed != isDenied
}

func (f *facts) addressFamilies() []Finding {
	if f.unit == nil || f.unit.properties["RestrictAddressFamilies"] == "" {
		return nil
	}
	if f.unit.allows("RestrictAddressFamilies", "AF_UNIX") {
		return fine("RestrictAddressFamilies lets Unix sockets through")
	}
	return one(Error, "RestrictAddressFamilies lacks AF_UNIX", "neither the service manager can be told of the new main process, nor is there an admin socket", f.unit.set("RestrictAddressFamilies=AF_UNIX"))
}
