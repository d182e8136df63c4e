package command

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/grace/role"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

const (
	exitFailed    = 1
	exitUsage     = 2
	exitAvailable = 100
)

// exitCodes is the table that help shows as well.
var exitCodes = []struct {
	code    int
	class   updater.Class
	meaning string
}{
	{0, "", "done, or nothing to do; also: no server was running and the executable was replaced"},
	{exitFailed, updater.Failed, "failed, nothing changed; also: the new version never became ready"},
	{exitUsage, updater.Usage, "usage; also: needs --yes, no terminal"},
	{3, updater.Policy, "stopped by policy: held, wrong platform, older, halted, yanked, quarantined, not its turn yet, no window open, …"},
	{4, updater.Verification, "verification failed: unsigned, wrongly signed, truncated, wrong format or module"},
	{5, updater.Permission, "no permission, read-only, or owned by a package manager"},
	{6, updater.Busy, "another upgrade is under way"},
	{7, updater.Undone, "undone on probation"},
	{8, updater.NotRestarted, "replaced, but the running server was not restarted"},
	{75, updater.Temporary, "temporary: network, rate limit, disk"},
	{exitAvailable, "", "check, upgrade --check: an update is available"},
}

// errAvailable ends a check that found something. It is an answer, and shown as one, but it has a code.
var errAvailable = errors.New("an update is available")

// ExitCode returns the code that a program should exit with when a command of [New] returned err.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	if errors.Is(err, errAvailable) {
		return exitAvailable
	}
	class := admin.NewFailure("", "", err).Class
	for _, e := range exitCodes {
		if e.class == class && class != "" {
			return e.code
		}
	}
	return exitFailed
}

// usage is an error in what was typed.
func usage(format string, args ...any) error {
	return &admin.Failure{Class: updater.Usage, Reason: "usage", Message: fmt.Sprintf(format, args...)}
}

// explain tells people about err: what happened, what serves now, what to type next.
func explain(w io.Writer, app string, err error) {
	if err == nil || errors.Is(err, errAvailable) {
		return
	}
	f := admin.NewFailure(app, "", err)
	if role.Current() == role.Successor { // whose last line is what its predecessor tells; nobody types anything here
		fmt.Fprintf(w, "%s: %s\n", app, strings.ReplaceAll(plain(f.Message), "\n", "; "))
		return
	}
	fmt.Fprintf(w, "%s: %s\n", app, plain(f.Message))
	if f.Words != "" {
		fmt.Fprintf(w, "its last words:\n%s\n", plain(f.Words))
	}
	if f.Serving != "" {
		fmt.Fprintf(w, "%s %s is serving; %s\n", app, f.Serving, f.Hint)
	} else {
		fmt.Fprintln(w, f.Hint)
	}
}

func exitCodesTopic() *cobra.Command {
	long := "Exit codes:\n"
	for _, e := range exitCodes {
		long += fmt.Sprintf("\n  %3d  %s", e.code, e.meaning)
	}
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: long}
}
