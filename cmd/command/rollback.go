package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/server/admin"
)

func (c cli) rollback() *cobra.Command {
	var (
		w      where
		source sourceFlags
		ch     change

		force, noQuarantine bool
	)
	cmd := &cobra.Command{
		Use:   "rollback [VERSION]",
		Short: "Go back to a version that was kept, the previous one by default",
		Long: `Bring back the previous version, or VERSION, from what was kept on disk, in the same steps as an upgrade. The
version that is left is quarantined, unless --no-quarantine says that it is good: it will not be installed again by itself.`,
		Example:           c.examples("rollback", "rollback 1.3.2 --yes", "rollback --yes --no-quarantine"),
		Args:              arguments(1),
		ValidArgsFunction: c.stateful(kept),
	}
	w.flags(cmd, c)
	source.flags(cmd, c)
	ch.flags(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "also to a version that is in quarantine, which then is no more")
	cmd.Flags().BoolVar(&noQuarantine, "no-quarantine", false, "do not quarantine the version that is left")
	cmd.RunE = ch.runE(c, func(cmd *cobra.Command, args []string) error {
		r := admin.Request{Force: force, NoQuarantine: noQuarantine}
		to := "the previous version"
		if len(args) > 0 {
			r.Version, to = args[0], args[0]
		}
		if err := ch.mayAsk(cmd); err != nil {
			return err
		}
		t, err := c.target(cmd, &w, &source, true)
		if err != nil {
			return err
		}
		defer t.close()
		from := t.serving(cmd.Context())
		if from == "" {
			from = c.s.Version
		}
		plan := fmt.Sprintf("%s %s → %s", c.s.Name, from, to)
		if !noQuarantine {
			plan += fmt.Sprintf("; %s will be quarantined", from)
		}
		if err := ch.confirm(cmd, plan); err != nil {
			return err
		}
		return ch.run(cmd, c, t, t.Rollback, r)
	})
	return cmd
}
