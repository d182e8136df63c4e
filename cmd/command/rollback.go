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
	)
	cmd := &cobra.Command{
		Use:   "rollback [VERSION]",
		Short: "Go back to a version that was kept, the previous one by default",
		Long: `Bring back the previous version, or VERSION, from what was kept on disk, in the same steps as an upgrade. The
version that is left is quarantined: it will not be installed again by itself.`,
		Args: arguments(1),
	}
	w.flags(cmd, c)
	source.flags(cmd, c)
	ch.flags(cmd)
	cmd.RunE = c.runE(&ch.json, func(cmd *cobra.Command, args []string) error {
		var r admin.Request
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
		if err := ch.confirm(cmd, fmt.Sprintf("%s %s → %s; %s will be quarantined", c.s.Name, from, to, from)); err != nil {
			return err
		}
		return ch.run(cmd, c, t, t.Rollback, r)
	})
	return cmd
}
