package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release/tuf"
)

func newHalt() *cobra.Command {
	return newStop("halt", &cobra.Command{
		Use:   "halt DIR VERSION",
		Short: "Stop a release, until it is resumed",
		Long: `Stop a release for all hosts that do not have it yet. Hosts that have it keep it. The online key is enough, so that whoever is on duty can do it at
any hour; to let it go again takes the targets key.`,
		Example: "  moult halt feed 1.4.0 --reason 'it crashes on start'",
	}, (*tuf.Repository).Halt)
}

func newYank() *cobra.Command {
	return newStop("yank", &cobra.Command{
		Use:   "yank DIR VERSION",
		Short: "Withdraw a release",
		Long: `Withdraw a release for good: no host takes it any more. Hosts that have it keep it until there is a newer one, so publish that next. The online key
is enough; where the targets key is, the index says so as well.`,
		Example: "  moult yank feed 1.4.0 --reason 'it loses data'",
	}, (*tuf.Repository).Yank)
}

// newStop is a command that stops a release by do.
func newStop(action string, cmd *cobra.Command, do func(*tuf.Repository, context.Context, tuf.StopRequest) (tuf.Change, error)) *cobra.Command {
	var flags changeFlags
	var reason string
	cmd.Args = nArgs(2, 2)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		repo, v, err := flags.open(cmd, args)
		if err != nil {
			return err
		}
		done, err := do(repo, cmd.Context(), tuf.StopRequest{Version: v, Channel: flags.channel, Reason: reason, DryRun: flags.dryRun})
		if err != nil {
			return err
		}
		next := []string{
			"moult sync " + args[0] + " TO            # if it is served from another place",
			"moult publish " + args[0] + " FILE... --version NEWER",
		}
		if action == "halt" {
			next = append(next, "moult resume "+args[0]+" "+v.String()+"      # if it was a false alarm")
		}
		return flags.emitChange(cmd, repo, action, v, done, next...)
	}
	flags.add(cmd, "`channel` in which it is stopped (default: all)")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for people")
	return cmd
}
