package command

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

func TestExitCode(t *testing.T) {
	for class, code := range map[updater.Class]int{
		updater.Failed: 1, updater.Usage: 2, updater.Policy: 3, updater.Verification: 4, updater.Permission: 5,
		updater.Busy: 6, updater.Undone: 7, updater.NotRestarted: 8, updater.Temporary: 75, "from the future": 1, "": 1,
	} {
		for _, err := range []error{
			&updater.Error{Class: class, Err: errors.New("x")},
			fmt.Errorf("wrapped: %w", &admin.Failure{Class: class}),
		} {
			if got := ExitCode(err); got != code {
				t.Errorf("class %q as %T: %d, want %d", class, err, got, code)
			}
		}
	}
	for _, tt := range []struct {
		err  error
		code int
	}{
		{nil, 0}, {errAvailable, 100}, {errors.New("odd"), 1}, {updater.ErrBusy, 6}, {usage("x"), 2},
		{&shownError{&admin.Failure{Class: updater.Policy}}, 3},
	} {
		if got := ExitCode(tt.err); got != tt.code {
			t.Errorf("%v: %d, want %d", tt.err, got, tt.code)
		}
	}
	long := exitCodesTopic().Long
	for _, e := range exitCodes {
		if !strings.Contains(long, fmt.Sprintf(" %d  %s", e.code, e.meaning)) {
			t.Errorf("help does not list %d", e.code)
		}
	}
}

// The last line of a failure: what serves, and what to type.
func TestExplain(t *testing.T) {
	for _, tt := range []struct {
		err  error
		last string
	}{
		{&admin.Failure{Class: updater.Undone, Message: "crashed", Serving: "1.0.0", Words: "panic: \x1b[31mno\ngoroutine 1"}, "hello 1.0.0 is serving; to see what happened: hello status"},
		{&updater.Error{Class: updater.Policy, Reason: "older", Err: errors.New("older")}, "to go back to a kept version: hello rollback"},
		{&updater.Error{Class: updater.Policy, Reason: "rollout", Err: errors.New("by and by")}, "to take it now: hello upgrade"},
		{&updater.Error{Class: updater.Policy, Reason: "stepping-stone", Err: errors.New("too far")}, "to take the release in between by its version: hello upgrade VERSION"},
		{errAvailable, ""},
		{nil, ""},
	} {
		var b bytes.Buffer
		explain(&b, "hello", tt.err)
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		if got := lines[len(lines)-1]; got != tt.last {
			t.Errorf("%v: last line %q, want %q", tt.err, got, tt.last)
		}
		if strings.Contains(b.String(), "\x1b") {
			t.Errorf("control characters of a stranger reach the terminal: %q", b.String())
		}
	}
}
