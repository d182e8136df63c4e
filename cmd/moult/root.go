package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// run is the whole program but for the process around it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil {
		report(cmd, err)
	}
	return exitCode(err)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "moult",
		Short: "Publish releases in a signed feed",
		Long: `Set up a signed feed of releases as static files, publish and promote versions, keep the signatures fresh, and verify
a feed as a server would.

` + exitCodes,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().Bool("json", false, "print one JSON document")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	for _, g := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Set up:", []*cobra.Command{newInit(), newRootGroup()}},
		{"Release:", []*cobra.Command{newPublish(), newPromote(), newRollout(), newHalt(), newResume(), newYank()}},
		{"Bring it to servers:", []*cobra.Command{newSync(), newServe()}},
		{"Keep it well:", []*cobra.Command{newRefresh(), newDoctor(), newPrune()}},
		{"Look:", []*cobra.Command{newList(), newShow(), newDiff(), newVerify()}},
		{"Besides:", []*cobra.Command{newMinisign(), newSimulate(), newDemo()}},
	} {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.title
			root.AddCommand(c)
		}
	}
	root.AddCommand(newKeysTopic())
	return root
}

// noArgs and nArgs are cobra's checks with our exit code.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Errorf("unknown command or argument %q for %q", args[0], cmd.CommandPath())}
	}
	return nil
}

func nArgs(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := cobra.RangeArgs(least, most)(cmd, args); err != nil {
			return &usageError{err}
		}
		return nil
	}
}

// need makes a flag's absence a usage error; cobra's own check would end with another code.
func need(cmd *cobra.Command, flags ...string) error {
	for _, name := range flags {
		if f := cmd.Flags().Lookup(name); f.Value.String() == "" {
			return &usageError{fmt.Errorf("--%s is missing: %s", name, f.Usage)}
		}
	}
	return nil
}
