package updater

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Class is the kind of a failure; command lines map it to an exit code.
type Class string

// The classes, with the exit codes of the command line.
const (
	Failed       Class = "failed"        // 1: nothing changed; also a build that never became ready
	Usage        Class = "usage"         // 2
	Policy       Class = "policy"        // 3: held, wrong platform, older, quarantined, …
	Verification Class = "verification"  // 4: unsigned, wrongly signed, truncated, wrong format or module
	Permission   Class = "permission"    // 5: directory not writable, unsafe, or read-only; owned by a package manager
	Busy         Class = "busy"          // 6: another upgrade is under way
	Undone       Class = "undone"        // 7: taken back on probation
	NotRestarted Class = "not-restarted" // 8: replaced, but the running server was not restarted: nothing could be handed over or put back
	Temporary    Class = "temporary"     // 75: network, rate limit, disk
)

// ErrBusy says that another process, or another call, is upgrading or holds the update lock.
var ErrBusy = errors.New("another upgrade is under way")

// Error is a failure with its class and named reason. The reasons are fixed words, for status pages, JSON
// and scripts:
//
//	failed        "interrupted" (stopped or canceled; no verdict on the build), "no-such-version", "io",
//	              "stage-failed", "proof-failed" (could not be started, ended or hung in the proof),
//	              "replaced-by-someone-else", "handover-failed", or what the Handover itself names
//	              ("exited", "start-timeout", …)
//	usage         "bad-version", "bad-options", "no-source", "no-key" (to verify a single file with), "bad-hold" (it would be over),
//	              "ambiguous" (several builds in quarantine)
//	policy        "disabled", "held", "version-unparsable", "wrong-platform", "older", "same-version", "channel", "constraint", "yanked",
//	              "halted", "stepping-stone", "quarantined", "backing-off", "rollout", "window", "nothing-kept",
//	              "unknown-format" (this program cannot decode what is offered)
//	verification  "unsigned", "bad-signature", "bad-comment", "wrong-app", "digest-mismatch", "truncated",
//	              "too-long", "not-executable", "wrong-format", "wrong-module", "wrong-version", "wrong-image", "damaged"
//	              (a kept version), "bad-payload", "bad-delta" (cannot be decoded); "bad-checksums" and "ambiguous" (several files for this
//	              platform) from a forge or a directory; from a feed also "expired", "rollback", "bad-metadata"
//	permission    "package-owned" (a package manager is to update it), "state-dir", "other-file-system", "setuid", "owner", "xattr",
//	              "read-only", "not-writable", "sticky", "immutable", "mount-point", "noexec", "token" and "sign-in" (a forge wants another token)
//	busy          "busy"
//	undone        what the Handover names ("crashed", "hung", "ill", "commit"), else its text; "crash-loop" (cold starts)
//	temporary     "network", "missing" (nothing is offered), "still-changing", "disk-space",
//	              "not-found", "wrong-type" (a web page), "rate-limit" and "cache" (of metadata, on this disk)
type Error struct {
	Class  Class
	Reason string
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

func fail(c Class, reason, format string, args ...any) *Error {
	return &Error{Class: c, Reason: reason, Err: fmt.Errorf(format, args...)}
}

// advice is an error that knows what to do next, for whoever shows it to people.
type advice struct {
	error
	hint string
}

// Hint says it.
func (a *advice) Hint() string  { return a.hint }
func (a *advice) Unwrap() error { return a.error }

// disabled is the stop of a program that does not update itself.
func (u *Updater) disabled() *Error {
	return &Error{Policy, "disabled", &advice{fmt.Errorf("%s does not update itself: %s", u.o.Name, u.o.Disabled), u.o.Disabled}}
}

// asError gives every failure a class: its own, or that of an interrupted attempt, or reason in class c.
func asError(ctx context.Context, err error, c Class, reason string) *Error {
	var e *Error
	if errors.As(err, &e) && (e.Class != Temporary || ctx.Err() == nil) {
		if e == err {
			return e
		}
		return &Error{e.Class, e.Reason, err}
	}
	if ctx.Err() != nil {
		return &Error{Failed, "interrupted", err}
	}
	return &Error{c, reason, err}
}

// maxWords bounds what is kept of a dead process's last words.
const maxWords = 4 << 10

// printable makes untrusted text fit for a terminal and a log: no control characters but line ends and
// tabs, no more than max bytes of its end.
func printable(s string, max int) string {
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > max {
		s = strings.ToValidUTF8(s[len(s)-max:], "")
	}
	return strings.TrimSpace(s)
}
