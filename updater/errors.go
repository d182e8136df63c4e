package updater

import "errors"

// Class is the kind of a failure; command lines map it to an exit code.
type Class string

// The classes, with the exit codes of the command line.
const (
	Failed       Class = "failed"        // 1: nothing changed; also a build that never became ready
	Usage        Class = "usage"         // 2
	Policy       Class = "policy"        // 3: wrong platform, older, quarantined, …
	Verification Class = "verification"  // 4: unsigned, wrongly signed, truncated, wrong format or module
	Permission   Class = "permission"    // 5: directory not writable, unsafe, or read-only
	Busy         Class = "busy"          // 6: another upgrade is under way
	Undone       Class = "undone"        // 7: taken back on probation
	NotRestarted Class = "not-restarted" // 8: replaced, but the running server was not restarted
	Temporary    Class = "temporary"     // 75: network, rate limit, disk
)

// ErrBusy says that another process holds the update lock.
var ErrBusy = errors.New("another upgrade is under way")

// Error is a failure with its class and named reason.
type Error struct {
	Class  Class
	Reason string // a short fixed name: "older", "wrong-platform", "quarantined", "unsigned", "bad-signature", "digest-mismatch", …
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }
