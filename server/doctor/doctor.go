package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

// Severity is how bad a finding is.
type Severity string

// The severities.
const (
	OK      Severity = "ok"
	Warning Severity = "warning" // an upgrade works, or will not do so under load, or one day
	Error   Severity = "error"   // an upgrade fails, or takes the service down
)

// Finding is what one check has to say.
type Finding struct {
	Check    string   `json:"check"` // its fixed name
	Severity Severity `json:"severity"`
	Found    string   `json:"found"`          // the fact
	Why      string   `json:"why,omitempty"`  // it matters
	Mend     string   `json:"mend,omitempty"` // what to type, or to write where
}

// Report is all findings, in the order of the checks.
type Report struct {
	Schema      int       `json:"schema"`
	App         string    `json:"app"`
	Instance    string    `json:"instance,omitempty"` // the server that was looked at; absent: none runs
	PID         int       `json:"pid,omitempty"`
	Unit        string    `json:"unit,omitempty"` // of the service manager
	InstallPath string    `json:"install_path"`
	Findings    []Finding `json:"findings"`
}

// Count returns how many findings are of severity s.
func (r Report) Count(s Severity) (n int) {
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// Options says what to look at. App and InstallPath are needed.
type Options struct {
	App         string
	Version     string    // of the executable
	Built       time.Time // when, as far as it says so itself
	InstallPath string    // links followed
	StateDir    string    // default: .NAME.d beside the install path

	Status    *admin.Status    // of the running server; nil: none runs
	Instances []admin.Instance // all that run
	Updates   bool             // the program is known to have a source of releases
	Disabled  string           // what to do instead, of a build that does not update itself

	// Ask returns what an updater in this process says, where no server runs. It is called only if there is a state directory and it is this
	// user's: to open one is to make it, and root must not make one for the server's user.
	Ask func() (updater.Status, error)

	DrainTimeout   time.Duration // default 60 s; negative: no deadline
	StartTimeout   time.Duration // default 60 s
	HealthInterval time.Duration // default 1 s
	KeepVersions   int           // default 4
}

// Examine makes every check. What it cannot see becomes a finding.
func Examine(ctx context.Context, o Options) Report {
	if o.StateDir == "" {
		o.StateDir = admin.StateDir(o.InstallPath)
	}
	o.DrainTimeout = or(o.DrainTimeout, time.Minute)
	o.StartTimeout = or(o.StartTimeout, time.Minute)
	o.HealthInterval = or(o.HealthInterval, time.Second)
	o.KeepVersions = max(or(o.KeepVersions, 4), 2)
	return diagnose(look(ctx, o))
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// checks are made in this order; docs/reference/doctor.md says of each what it is about.
var checks = []struct {
	name string
	of   func(*facts) []Finding
}{
	{"replace", (*facts).replace},
	{"executable", (*facts).executable},
	{"room", (*facts).room},
	{"hardening", (*facts).hardening},
	{"seccomp", (*facts).seccomp},
	{"address-families", (*facts).addressFamilies},
	{"unit-type", (*facts).unitType},
	{"notify-access", (*facts).notifyAccess},
	{"kill-mode", (*facts).killMode},
	{"oom-policy", (*facts).oomPolicy},
	{"stop", (*facts).stop},
	{"start-timeout", (*facts).startTimeout},
	{"restart", (*facts).restart},
	{"watchdog", (*facts).watchdog},
	{"parent", (*facts).parent},
	{"ports", (*facts).ports},
	{"memory", (*facts).memory},
	{"tasks", (*facts).tasks},
	{"files", (*facts).files},
	{"socket", (*facts).socket},
	{"instances", (*facts).instances},
	{"clock", (*facts).clock},
	{"version", (*facts).version},
	{"owner", (*facts).owner},
	{"feed", (*facts).feed},
	{"last-check", (*facts).lastCheck},
	{"hold", (*facts).hold},
	{"quarantine", (*facts).quarantine},
	{"disk", (*facts).disk},
	{"exposed", (*facts).exposed},
}

func diagnose(f *facts) Report {
	r := Report{Schema: admin.Schema, App: f.App, InstallPath: f.InstallPath, Findings: []Finding{}}
	if f.Status != nil {
		r.Instance, r.PID = f.Status.Instance, f.Status.PID
	}
	if f.unit != nil {
		r.Unit = f.unit.name
	}
	for _, c := range checks {
		for _, found := range c.of(f) {
			found.Check = c.name
			r.Findings = append(r.Findings, found)
		}
	}
	for _, err := range f.unseen {
		r.Findings = append(r.Findings, Finding{"not-seen", Warning, err.Error(), "what is not seen is not judged", "run it as root, or as the user of the server"})
	}
	return r
}

func fine(format string, args ...any) []Finding {
	return []Finding{{Severity: OK, Found: fmt.Sprintf(format, args...)}}
}

func one(s Severity, found, why, mend string) []Finding {
	return []Finding{{Severity: s, Found: found, Why: why, Mend: mend}}
}
