package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/grace/role"
	"github.com/moult-go/moult/server"
	"github.com/moult-go/moult/server/admin"
)

// Main is a whole command line for s. It does not return: it exits with one of the codes in the package comment.
func Main(s server.Service) {
	role.Act(role.Report{Name: s.Name, Version: s.Version})
	if dir, ok := aboutToServe(nameOf(s), os.Args[1:]); ok {
		if err := coldStart(s, dir); err != nil {
			explain(os.Stderr, nameOf(s), err)
			os.Exit(ExitCode(err))
		}
	}
	root := Root(s)
	os.Exit(conclude(root, os.Args[1:], root.ExecuteContext(context.Background())))
}

// conclude tells people what went wrong, and machines where no command has done so, and returns the code to exit with.
func conclude(root *cobra.Command, args []string, err error) int {
	if err != nil && !isOurs(err) { // cobra's own: an unknown command
		what, near, _ := strings.Cut(err.Error(), "\n\nDid you mean this?\n")
		if names := strings.Fields(near); len(names) > 0 {
			what += "; did you mean " + strings.Join(names, " or ") + "?"
		}
		err = usage("%s", what)
	}
	if err != nil && !errors.Is(err, errAvailable) && !errors.As(err, new(*shownError)) && slices.Contains(args, "--json") {
		printJSON(root.OutOrStdout(), failureDocument{admin.Schema, admin.NewFailure(root.Name(), "", err)})
	}
	explain(root.ErrOrStderr(), root.Name(), err)
	return ExitCode(err)
}

// New returns the commands, to put into a command line of one's own: its flags and commands are free
// otherwise. Before it opens anything, that program calls role.Act, or New as the first thing in main. The command serve counts a
// cold start when it runs; a program that may fail before that, in reading its configuration say, calls server.ColdStart first.
func New(s server.Service) []*cobra.Command {
	role.Act(role.Report{Name: s.Name, Version: s.Version})
	return newCommands(s)
}

// Root is the whole command line that Main runs, for those who write pages about it: see package cmd/reference.
func Root(s server.Service) *cobra.Command {
	name := nameOf(s)
	root := &cobra.Command{
		Use:   name,
		Short: name + " serves, and replaces itself by newer versions without losing a request",
		Long: fmt.Sprintf(`%[1]s serves, and replaces itself by newer versions without losing a request. "serve" starts it, "status" shows how it stands, "upgrade" brings a
newer version and "rollback" the previous one; each speaks to the running server, or does it alone if there is none.

Results go to standard output, all else to standard error; --json prints one document. "%[1]s help exit-codes", "%[1]s help configuration" and
"%[1]s help environment" have the rest.`, name),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	group(root, newCommands(s))
	return root
}

func newCommands(s server.Service) []*cobra.Command {
	s.Name = nameOf(s)
	if s.Version == "" {
		s.Version = "dev"
	}
	c := cli{s: s}
	list := []*cobra.Command{c.serve(), c.restart(), c.drain(), c.logLevel(), c.upgrade(), c.check(), c.status(), c.rollback(), c.hold(), c.unhold(), c.quarantine(),
		c.history(), c.config(), c.doctor(), c.healthcheck(), c.verify(), c.version()}
	for _, cmd := range list {
		explained(cmd)
		c.completed(cmd)
	}
	return append(list, c.topics()...)
}

// cli is what the commands share.
type cli struct {
	s server.Service
}

func nameOf(s server.Service) string {
	if s.Name != "" {
		return s.Name
	}
	return strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
}

// isOurs reports whether err comes from one of our commands, and not from cobra's reading of the line.
func isOurs(err error) bool {
	var f *admin.Failure
	return errors.As(err, &f) || errors.Is(err, errAvailable)
}

// runFunc carries a command out.
type runFunc func(cmd *cobra.Command, args []string) error

// runE is for the commands that speak to a server or stand in for it, which share some of its configuration.
func (c cli) runE(asJSON *bool, run runFunc) runFunc { return c.failures(asJSON, c.configured(run)) }

// failures turns what a command returns into a *admin.Failure that knows the program's name, and prints it as the
// document of --json.
func (c cli) failures(asJSON *bool, run runFunc) runFunc {
	return func(cmd *cobra.Command, args []string) error {
		err := run(cmd, args)
		if err == nil || errors.Is(err, errAvailable) {
			return err
		}
		f := admin.NewFailure(c.s.Name, "", seeHelp(cmd, err))
		if asJSON == nil || !*asJSON {
			return f
		}
		if !errors.As(err, new(*shownError)) {
			printJSON(cmd.OutOrStdout(), failureDocument{admin.Schema, f})
		}
		return &shownError{f}
	}
}
