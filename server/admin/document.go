package admin

import (
	"errors"
	"fmt"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/updater"
)

// Schema is the number of the documents of this package. Fields may be added under the same number.
const Schema = 1

// Status is what a server says of itself.
type Status struct {
	Schema      int       `json:"schema"`
	App         string    `json:"app"`
	Version     string    `json:"version"`
	Instance    string    `json:"instance,omitempty"`
	Admin       string    `json:"admin,omitempty"` // path of the admin socket
	Generation  int       `json:"generation"`
	PID         int       `json:"pid"`
	State       string    `json:"state"` // as package grace names them
	Since       time.Time `json:"since"` // start of this process
	Listen      []string  `json:"listen"`
	Ops         []string  `json:"ops_listen,omitempty"` // for operators: /metrics
	Connections int       `json:"connections"`          // open ones, of this process

	// Draining are the older generations that still have connections, the oldest first.
	Draining []Draining `json:"draining,omitempty"`

	Updates Updates         `json:"updates"`
	Updater *updater.Status `json:"updater,omitempty"` // absent when there is none
	// Progress is the last event of an upgrade or rollback that has not ended; absent if this process is at none.
	Progress *updater.Event `json:"progress,omitempty"`
	// Handover is the one under way, seen from this process.
	Handover *Handover `json:"handover,omitempty"`
	StopsAt  time.Time `json:"stops_at,omitzero"` // a drain was asked for, and begins then
	// RestartError says why the last restart without a new version (HUP) was undone; empty after a good one.
	RestartError string `json:"restart_error,omitempty"`

	// Settings are what the server was configured with, sorted by name.
	Settings []Setting `json:"settings,omitempty"`
}

// Setting is one value that a server was configured with. None is a secret: those are in files, of which only the names are settings.
type Setting struct {
	Name   string `json:"name"` // of the flag, which is the key in the file as well
	Value  string `json:"value"`
	Origin string `json:"origin"` // "flag", the name of a variable, FILE:LINE, or "default"
}

// Handover is the other side of a handover: the successor, or for a process on probation its predecessor.
type Handover struct {
	Generation int       `json:"generation"`
	PID        int       `json:"pid,omitempty"`
	Version    string    `json:"version,omitempty"` // of a successor, as it says itself
	Since      time.Time `json:"since"`             // start of the successor, then of its probation
	Until      time.Time `json:"until,omitzero"`    // when probation is over, if all goes well
}

// Draining is an older generation on its way out.
type Draining struct {
	Generation  int       `json:"generation"`
	PID         int       `json:"pid"`
	Since       time.Time `json:"since"`
	Connections int       `json:"connections"`
	Hijacked    int       `json:"hijacked,omitempty"` // of those: WebSockets and the like
	Deadline    time.Time `json:"deadline,omitzero"`  // when it closes what is left; zero: never, or it did not say
}

// Updates says whether this server updates itself.
type Updates struct {
	On     bool   `json:"on"`
	Reason string `json:"reason,omitempty"` // why it does not
}

// Request asks for a check, an upgrade or a rollback.
type Request struct {
	Version string `json:"version,omitempty"` // default: the newest; for a rollback the previous one
	Force   bool   `json:"force,omitempty"`   // also what is held, quarantined or halted; never what is not verified, or yanked
	Patient bool   `json:"patient,omitempty"` // for a check: what would happen by itself; it waits for a rollout and a window
	File    string `json:"file,omitempty"`    // absolute path of a signed file to take; the server verifies it by the key that it was started with

	NoQuarantine bool `json:"no_quarantine,omitempty"` // for a rollback: the version that is left may come again

	By *updater.Asker `json:"-"` // filled in by the handler: the kernel says it, not the one who asks
}

// Check is the answer to a check.
type Check struct {
	Schema    int            `json:"schema"`
	Current   string         `json:"current"`
	Available bool           `json:"available"`
	Version   string         `json:"version,omitempty"` // the newest that is offered
	Digest    release.Digest `json:"digest,omitzero"`
	Length    int64          `json:"length,omitempty"` // bytes
	Notes     string         `json:"notes,omitempty"`
	Stop      *Failure       `json:"stop,omitempty"`    // why it is newer and yet not applied
	Rollout   *updater.Turn  `json:"rollout,omitempty"` // the newest waits for this host's turn
	Yanked    *release.Stop  `json:"yanked,omitempty"`  // the version that runs was withdrawn by its publisher
}

// NewCheck renders what an updater found.
func NewCheck(app string, f updater.Found) Check {
	c := Check{Schema: Schema, Current: f.Current, Available: f.Available, Rollout: f.Turn, Yanked: f.Yanked}
	if !f.Candidate.Version.IsZero() {
		c.Version, c.Digest = f.Candidate.Version.String(), f.Candidate.Digest
		c.Length, c.Notes = f.Candidate.Length, f.Candidate.Notes
		if c.Length == 0 { // in an archive, of which that is not known yet
			c.Length = f.Candidate.Full.Length
		}
	}
	if f.Stop != nil {
		c.Stop = NewFailure(app, f.Current, f.Stop)
	}
	return c
}

// Held answers what holds updates, or lets them go on.
type Held struct {
	Schema int           `json:"schema"`
	Hold   *updater.Hold `json:"hold,omitempty"` // absent: none
}

// Quarantine lists builds: those that are not tried again, or those that were cleared just now.
type Quarantine struct {
	Schema     int                   `json:"schema"`
	Quarantine []updater.Quarantined `json:"quarantine"`
}

// Clear asks for builds to be let out of quarantine. Exactly one field is set.
type Clear struct {
	Which string `json:"which,omitempty"` // a version, or the beginning of a digest
	All   bool   `json:"all,omitempty"`
}

// Check returns an error unless it names something.
func (c Clear) Check() error {
	if (c.Which == "") != c.All {
		return &updater.Error{Class: updater.Usage, Reason: "bad-request", Err: errors.New("clear the quarantine: name a version, the beginning of a digest, or all")}
	}
	return nil
}

// History lists the attempts to change the version that have ended, oldest first.
type History struct {
	Schema   int               `json:"schema"`
	Attempts []updater.Attempt `json:"attempts"`
}

// Line is one line of the answer to an upgrade or a rollback: exactly one field is set.
type Line struct {
	Event  *updater.Event   `json:"event,omitempty"`
	Result *updater.Outcome `json:"result,omitempty"`
	Error  *Failure         `json:"error,omitempty"`
}

// Failure is an error as it travels: its class, which decides the exit code, and for people the
// message, what serves now and what to type next.
type Failure struct {
	Class   updater.Class `json:"class"`
	Reason  string        `json:"reason,omitempty"`
	Message string        `json:"message"`
	Phase   string        `json:"phase,omitempty"` // of the attempt that is in the way, for class busy
	Serving string        `json:"serving,omitempty"`
	Hint    string        `json:"hint,omitempty"`
	Words   string        `json:"last_words,omitempty"` // of a version that died; untrusted text
}

func (f *Failure) Error() string { return f.Message }

// Is makes errors.Is(f, updater.ErrBusy) true for class busy.
func (f *Failure) Is(target error) bool { return target == updater.ErrBusy && f.Class == updater.Busy }

// NewFailure renders err. An error that is neither a *Failure nor an *updater.Error is of class failed.
// serving is the version that serves, "" if none does.
func NewFailure(app, serving string, err error) *Failure {
	f := &Failure{Class: updater.Failed, Message: err.Error()}
	var known *updater.Error
	var failure *Failure
	switch {
	case errors.As(err, &failure):
		c := *failure
		f = &c
	case errors.As(err, &known):
		f.Class, f.Reason = known.Class, known.Reason
	case errors.Is(err, updater.ErrBusy):
		f.Class = updater.Busy
	}
	var undoing updater.Undoing
	if f.Words == "" && errors.As(err, &undoing) {
		f.Words = undoing.Words()
	}
	if f.Serving == "" {
		f.Serving = serving
	}
	var adviser interface{ Hint() string }
	if f.Hint == "" && errors.As(err, &adviser) {
		f.Hint = adviser.Hint()
	}
	if f.Hint == "" {
		f.Hint = hint(app, f)
	}
	return f
}

// hint says what to type next.
func hint(app string, f *Failure) string {
	switch f.Reason {
	case "older":
		return fmt.Sprintf("to go back to a kept version: %s rollback", app)
	case "quarantined":
		return fmt.Sprintf("to try it once more: %s upgrade --force", app)
	case "halted":
		return fmt.Sprintf("its publisher may let it go on, or bring out a better one; to take it all the same: %s upgrade --force", app)
	case "held":
		return fmt.Sprintf("to let updates go on: %s unhold; to take this one all the same: %s upgrade --force", app, app)
	case "channel", "constraint":
		return fmt.Sprintf("it is for whoever starts %s serve to say otherwise, by --channel or --constraint", app)
	case "yanked":
		return "its publisher has withdrawn it; wait for the next version"
	case "stepping-stone":
		return fmt.Sprintf("to take the release in between by its version: %s upgrade VERSION", app)
	case "rollout", "window":
		return fmt.Sprintf("to take it now: %s upgrade", app)
	case "expired":
		return "nothing was changed; if this host's clock is right, whoever publishes this program has to sign its feed again"
	case "no-source":
		return fmt.Sprintf("name a source of releases, as %s serve --feed URL --root FILE or --watch FILE --minisign-key FILE", app)
	}
	switch f.Class {
	case updater.Busy:
		return fmt.Sprintf("to see how far it is: %s status", app)
	case updater.Temporary:
		return fmt.Sprintf("try again later: %s upgrade", app)
	case updater.NotRestarted:
		return "restart the server yourself: kill -HUP its process"
	case updater.Permission:
		return "run it as the owner of the executable's directory, or let that user write there"
	case updater.Verification:
		return "nothing was changed; ask whoever publishes this program"
	case updater.Usage:
		return fmt.Sprintf("to see what it takes: %s help", app)
	}
	return fmt.Sprintf("to see what happened: %s status", app)
}
