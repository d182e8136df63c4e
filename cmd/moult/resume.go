package main

import (
	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release/tuf"
)

func newResume() *cobra.Command {
	var flags changeFlags
	var yanked bool
	cmd := &cobra.Command{
		Use:   "resume DIR VERSION",
		Short: "Let a release that was halted go on",
		Long: `Let a release that was halted go on, also for hosts that remember the halt. A rollout goes on where it stood. This needs the targets key: whoever
has only the online key can stop a release, and not let it go again.`,
		Example: "  moult resume feed 1.4.0",
		Args:    nArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			repo, v, err := flags.open(cmd, args)
			if err != nil {
				return err
			}
			done, err := repo.Resume(cmd.Context(), tuf.ResumeRequest{Version: v, Channel: flags.channel, Yanked: yanked, DryRun: flags.dryRun})
			if err != nil {
				return err
			}
			return flags.emitChange(cmd, repo, "resume", v, done,
				"moult sync "+args[0]+" TO            # if it is served from another place",
				"moult rollout "+args[0]+" "+v.String()+"     # where it stands, or another curve")
		},
	}
	flags.add(cmd, "`channel` in which it goes on (default: all)")
	cmd.Flags().BoolVar(&yanked, "yanked", false, "also if it was yanked")
	return cmd
}
