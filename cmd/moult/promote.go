package main

import (
	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release/tuf"
)

func newPromote() *cobra.Command {
	var flags changeFlags
	var terms termFlags
	var payloads payloadFlags
	var q tuf.PromoteRequest
	cmd := &cobra.Command{
		Use:   "promote DIR VERSION",
		Short: "Copy a version from one channel to another, on all platforms",
		Long: `Copy a version from one channel to another, on all platforms: the same files, nothing is built again. What is critical there, or has a minimum version,
is and has it here; a rollout is not taken along: give one by --rollout. It needs the targets key.`,
		Example: "  moult promote feed 1.4.0\n  moult promote feed 1.4.0 --rollout linear:48h\n  moult promote feed 1.4.0 --to lts --create",
		Args:    nArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if q.Minimum, q.Rollout, err = terms.read(); err != nil {
				return err
			}
			repo, v, err := flags.open(cmd, args)
			if err != nil {
				return err
			}
			q.Version, q.Critical, q.DryRun = v, terms.critical, flags.dryRun
			q.Deltas, q.Progress = payloads.count(), noteDeltas(cmd)
			done, err := repo.Promote(cmd.Context(), q)
			if err != nil {
				return err
			}
			return flags.emitChange(cmd, repo, "promote", v, done,
				"moult sync "+args[0]+" TO            # if it is served from another place",
				"moult rollout "+args[0]+" "+v.String()+"     # where it stands",
				"moult halt "+args[0]+" "+v.String()+"        # if it turns out bad")
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.From, "from", "beta", "`channel` that has the version")
	f.StringVar(&q.To, "to", "stable", "`channel` that gets it")
	f.BoolVar(&q.Create, "create", false, "make the channel that gets it, if the feed does not have it")
	f.BoolVar(&q.Force, "force", false, "also a version that is halted or yanked; it is not where it goes")
	terms.add(cmd)
	payloads.addDeltas(cmd)
	flags.add(cmd, "")
	return cmd
}
