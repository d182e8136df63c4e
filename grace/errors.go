package grace

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// ErrBusy is what errors.Is finds in a *BusyError.
var ErrBusy = errors.New("a handover is under way")

// BusyError refuses a handover because this process is in no state to begin one.
type BusyError struct {
	State State
}

func (e *BusyError) Error() string { return "hand over: busy: this process is " + e.State.String() }

// Busy reports that the handover never began.
func (e *BusyError) Busy() bool { return true }

// Is makes errors.Is(err, ErrBusy) true.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

// errIncompatible ends a successor that speaks none of its predecessor's protocol versions.
var errIncompatible = errors.New("no protocol version in common")

// Cause says why a handover was undone.
type Cause string

// The causes.
const (
	CauseExec         Cause = "exec"          // could not be started at all
	CauseExited       Cause = "exited"        // ended before it was ready
	CauseTimeout      Cause = "start-timeout" // not ready within the start timeout
	CauseIncompatible Cause = "incompatible"  // speaks no protocol version of ours
	CauseCrashed      Cause = "crashed"       // ended on probation
	CauseHung         Cause = "hung"          // stopped answering on probation
	CauseIll          Cause = "ill"           // said on probation that it is not well
	CauseCommit       Cause = "commit"        // it proved itself, but the commit failed
	CauseStopped      Cause = "stopped"       // a stop was asked for; no verdict
	CauseCanceled     Cause = "canceled"      // the context of Handover ended; no verdict
	CauseNotReleased  Cause = "not-released"  // OnStandby of this process failed; no verdict
)

// HandoverError is a handover that was undone: the process that returns it serves (CauseStopped: it stops).
type HandoverError struct {
	Cause      Cause
	Generation int    // of the successor
	PID        int    // of the successor; 0 if it never was
	Path       string // what was started
	LastWords  string // last lines of its standard error, or its crash output; untrusted text
	Err        error

	// NoWayBack is set if the successor had called Process.NoWayBack. If it had not been ready, this process serves on, on
	// what that one may have changed. If it had, this process does not serve: with CauseCommit the successor serves, without a
	// commit; else nobody does, and Wait returns an error.
	NoWayBack bool
}

func (e *HandoverError) Error() string {
	s := fmt.Sprintf("hand over to %s: %s: %v", e.Path, e.Cause, e.Err)
	if e.NoWayBack {
		s += " (it had said that there is no way back)"
	}
	if line := tellingLine(e.LastWords); line != "" {
		s += fmt.Sprintf(" (its last words: %s)", line)
	}
	return s
}

// tellingLine picks the line of last words that says most, without control characters: where a Go program
// died, what it died of; else the last one.
func tellingLine(words string) string {
	var best string
	for line := range strings.Lines(words) {
		line = strings.TrimSpace(strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, line))
		if line != "" {
			best = line
		}
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			break
		}
	}
	const most = 200
	if len(best) > most {
		best = strings.ToValidUTF8(best[:most], "") + "…"
	}
	return best
}

func (e *HandoverError) Unwrap() error { return e.Err }

// Undone reports whether the successor had been ready, and so had served, before it was undone.
func (e *HandoverError) Undone() bool {
	switch e.Cause {
	case CauseCrashed, CauseHung, CauseIll:
		return true
	case CauseCommit:
		return !e.NoWayBack
	}
	return false
}

// Guilty reports whether the build itself is to blame: it crashed, hung or fell ill on probation.
func (e *HandoverError) Guilty() bool {
	return e.Cause == CauseCrashed || e.Cause == CauseHung || e.Cause == CauseIll
}

// Verdict reports whether the attempt says anything about the build: not if it was stopped or canceled, or if this process could
// not let go.
func (e *HandoverError) Verdict() bool {
	return e.Cause != CauseStopped && e.Cause != CauseCanceled && e.Cause != CauseNotReleased
}

// Reason returns the cause as a short fixed name.
func (e *HandoverError) Reason() string { return string(e.Cause) }

// Words returns LastWords.
func (e *HandoverError) Words() string { return e.LastWords }
