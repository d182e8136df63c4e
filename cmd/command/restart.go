package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

func (c cli) restart() *cobra.Command {
	var (
		w  where
		ch change
	)
	cmd := &cobra.Command{
		Use:   "restart",
		Short: "Restart the running server with the installed file, without losing a request",
		Long: `Restart the running server with what stands at the path of its executable, as HUP does, and wait for the verdict of the probation. A changed
configuration comes into force so. The file is proven to start, and not verified: whoever may write it is trusted. If it fails, the old
process serves on.`,
		Example: c.examples("restart", "restart --json"),
		Args:    arguments(0),
	}
	w.flags(cmd, c)
	ch.outputFlags(cmd)
	cmd.RunE = ch.runE(c, func(cmd *cobra.Command, _ []string) error {
		t, err := c.running(&w)
		if err != nil {
			return err
		}
		restart := func(ctx context.Context, _ admin.Request, events func(updater.Event)) (updater.Outcome, error) {
			return t.Restart(ctx, events)
		}
		return ch.run(cmd, c, t, restart, admin.Request{})
	})
	return cmd
}
