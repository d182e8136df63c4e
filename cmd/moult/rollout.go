package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
)

func newRollout() *cobra.Command {
	var flags changeFlags
	var curve string
	var restart, newSalt bool
	cmd := &cobra.Command{
		Use:   "rollout DIR VERSION",
		Short: "Hand a release out by and by, or show where its rollout stands",
		Long: `Set the curve by which hosts get a release, or show where it stands if no curve is given. Each host decides by itself whether its turn has come, from
the signed curve and a number that it drew once: nobody counts hosts. A curve that is changed counts from the start of the one before, and the same hosts
come first; hosts that have the release keep it. To set one needs the targets key, to look needs none.

` + curveHelp,
		Example: "  moult rollout feed 1.4.0 --curve 1%@0h,10%@6h,50%@1d,100%@2d\n  moult rollout feed 1.4.0 --curve now",
		Args:    nArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if curve == "" {
				if restart || newSalt || flags.dryRun {
					return &usageError{errors.New("--restart, --new-salt and --dry-run need --curve")}
				}
				return showRollout(cmd, flags, args)
			}
			points, err := parseCurve(curve)
			if err != nil {
				return err
			}
			repo, v, err := flags.open(cmd, args)
			if err != nil {
				return err
			}
			q := tuf.RolloutRequest{Version: v, Channel: flags.channel, Curve: points, Restart: restart, NewSalt: newSalt, DryRun: flags.dryRun}
			done, err := repo.Rollout(cmd.Context(), q)
			if err != nil {
				return err
			}
			return flags.emitChange(cmd, repo, "rollout", v, done,
				"moult sync "+args[0]+" TO            # if it is served from another place",
				"moult halt "+args[0]+" "+v.String()+"        # if it turns out bad")
		},
	}
	flags.add(cmd, "`channel` in which it is handed out (default: the only one that has it)")
	cmd.Flags().StringVar(&curve, "curve", "", "`curve` of the rollout")
	cmd.Flags().BoolVar(&restart, "restart", false, "the curve begins now")
	cmd.Flags().BoolVar(&newSalt, "new-salt", false, "the curve begins now, with other hosts first")
	return cmd
}

// showRollout says where a release stands, in every channel that has it. No key is needed.
func showRollout(cmd *cobra.Command, flags changeFlags, args []string) error {
	v, err := release.ParseVersion(args[1])
	if err != nil {
		return &usageError{err}
	}
	view, err := (&viewFlags{keys: flags.keys.dir}).open(cmd, args[0])
	if err != nil {
		return err
	}
	indexes, err := view.only(flags.channel, "")
	if err != nil {
		return err
	}
	var placed []tuf.Placed
	for _, ix := range indexes {
		if rel, err := ix.Find(v); err == nil {
			placed = append(placed, tuf.Placed{IndexName: tuf.IndexName{Channel: ix.Channel, Platform: ix.Platform}, Release: rel})
		}
	}
	if len(placed) == 0 {
		return release.ErrNoRelease
	}
	return emit(cmd, newChangeResult(view.app, "show", v, placed))
}
