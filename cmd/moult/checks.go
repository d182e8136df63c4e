package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/grace/role"
	"github.com/moult-go/moult/release"
)

// check is one thing that is looked at before anything is signed.
type check struct {
	name string
	what string // in a few words, for people
	look func(context.Context, *inspection) []verdict
}

// checks are made in this order; docs/howto/publishing.md says of each what to do about it.
var checks = []check{
	{"file", "an executable, not empty, no script, not setuid", each(checkFile)},
	{"platform", "header, build information and name agree on the platform", each(checkPlatform)},
	{"module", "one main module, that of the releases before", checkModule},
	{"toolchain", "one version of Go", checkToolchain},
	{"vcs", "built from a clean checkout", each(checkVCS)},
	{"debug", "not built for debugging or race detection", each(checkDebug)},
	{"dwarf", "no compressed debug information, which spoils deltas", each(checkDWARF)},
	{"start", "starts and reports, where it can run", each(checkStart)},
	{"version", "says that it is the version to be published", each(checkVersion)},
	{"newer", "newer than the channel's newest, never published with other bytes", checkNewer},
	{"complete", "for all platforms that the channel had", checkComplete},
}

// outcome is how a check ended.
type outcome string

const (
	passed  outcome = "passed"
	warned  outcome = "warning"
	failed  outcome = "failed"
	skipped outcome = "skipped" // by --skip-check
	notMade outcome = "not made"
)

// verdict is what a check has to say of one file, or of the release as a whole.
type verdict struct {
	Check   string  `json:"check"`
	File    string  `json:"file,omitempty"` // "" for the release
	Outcome outcome `json:"outcome"`
	Message string  `json:"message,omitempty"`
	Hint    string  `json:"hint,omitempty"`
	err     error   // what failed, if it has an exit code and a hint of its own
}

func said(o outcome, format string, args ...any) verdict {
	return verdict{Outcome: o, Message: fmt.Sprintf(format, args...)}
}

func (f verdict) hint(format string, args ...any) verdict {
	f.Hint = fmt.Sprintf(format, args...)
	return f
}

// subject is a program with all that is known of it.
type subject struct {
	program
	executable
	platform release.Platform // to publish for
	err      error            // why it cannot be read as an executable
	length   int64
	digest   release.Digest
	report   *role.Report // what it said when it was started; nil if it was not
}

// inspection is a release that is being checked.
type inspection struct {
	app, channel string
	version      release.Version
	subjects     []*subject
	indexes      []*release.Index // those of the channel, before the release
	plan         func(context.Context) error
	runVersion   bool
}

// each makes a check of files out of one of a file.
func each(look func(context.Context, *inspection, *subject) verdict) func(context.Context, *inspection) []verdict {
	return func(ctx context.Context, in *inspection) (list []verdict) {
		for _, s := range in.subjects {
			f := look(ctx, in, s)
			f.File = s.origin
			list = append(list, f)
		}
		return list
	}
}

// run makes all checks but those to skip. Failures of files come together; an error is one that no check stands for.
func (in *inspection) run(ctx context.Context, skip []string) ([]verdict, error) {
	var all []verdict
	for _, c := range checks {
		if err := ctx.Err(); err != nil {
			return all, err
		}
		var list []verdict
		if slices.Contains(skip, c.name) && c.name != "newer" { // that one becomes a --force, and may find something else
			list = []verdict{{Outcome: skipped, Message: c.what}}
		} else {
			list = c.look(ctx, in)
		}
		for _, f := range list {
			f.Check = c.name
			all = append(all, f)
		}
	}
	return all, ctx.Err()
}

// checkError says which checks failed.
type checkError struct{ failed []verdict }

func (e *checkError) Error() string {
	var list []string
	for _, f := range e.failed {
		list = append(list, f.String())
	}
	return "nothing was signed: " + strings.Join(list, "; ")
}

func (e *checkError) Unwrap() error { return e.failed[0].err }

// hint is that of the first failure: one who mends it runs the command again and sees the next.
func (e *checkError) hint() string {
	f := e.failed[0]
	skip := "if you know better: --skip-check " + f.Check
	if f.Hint == "" {
		return skip
	}
	return f.Hint + "; " + skip
}

func (f verdict) String() string {
	s := "check " + f.Check + ": " + f.Message
	if f.File != "" {
		s = f.File + ": " + s
	}
	return s
}

// judge returns the failures among verdicts as one error.
func judge(all []verdict) error {
	bad := slices.DeleteFunc(slices.Clone(all), func(f verdict) bool { return f.Outcome != failed })
	if len(bad) == 0 {
		return nil
	}
	return &checkError{bad}
}

// checkFlags choose among the checks.
type checkFlags struct {
	skip       []string
	runVersion bool
}

func (c *checkFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&c.skip, "skip-check", nil, "`names` of checks not to make: "+strings.Join(checkNames(), ", "))
	cmd.Flags().BoolVar(&c.runVersion, "run-version", false, "run programs that do not answer the proof with the argument --version")
}

func checkNames() (names []string) {
	for _, c := range checks {
		names = append(names, c.name)
	}
	return names
}

func (c *checkFlags) validate() error {
	for _, name := range c.skip {
		if !slices.Contains(checkNames(), name) {
			return &usageError{fmt.Errorf("there is no check %q; there are %s", name, strings.Join(checkNames(), ", "))}
		}
	}
	return nil
}

// tell prints what people should know of the verdicts: warnings, and what was not looked at. The same words on several files are one line.
func tell(cmd *cobra.Command, all []verdict) {
	var lines []verdict
	more := map[verdict]int{}
	for _, v := range all {
		key := v
		key.File = ""
		if more[key]++; more[key] == 1 && v.Outcome != passed && v.Outcome != failed {
			lines = append(lines, v)
		}
	}
	for _, v := range lines {
		key := v
		key.File = ""
		if n := more[key] - 1; n > 0 {
			v.File = fmt.Sprintf("%s and %d more", v.File, n)
		}
		if v.Hint != "" {
			v.Message += "; " + v.Hint
		}
		if v.Outcome == warned {
			warn(cmd, "%s", v)
			continue
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s: %s\n", cmd.Root().Name(), v.Outcome, printable(v.String()))
	}
}
