package command

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

func (c cli) history() *cobra.Command {
	var (
		w      where
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Show every attempt to change the version, the newest last",
		Long: `Show every upgrade and rollback that has ended, with its outcome and the reason of a failure. It comes from the journal on disk, so it is there without a
running server too, and after a crash.`,
		Example: c.examples("history", "history --json | jq '.attempts[-1]'"),
		Args:    arguments(0),
	}
	w.flags(cmd, c)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	cmd.RunE = c.runE(&asJSON, func(cmd *cobra.Command, _ []string) error {
		t, err := c.target(cmd, &w, nil, false)
		if err != nil {
			return err
		}
		defer t.close()
		h, err := t.History(cmd.Context())
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), h)
		}
		return printHistory(cmd.OutOrStdout(), h.Attempts)
	})
	return cmd
}

func printHistory(out io.Writer, list []updater.Attempt) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, a := range list {
		how := a.Outcome
		if a.Reason != "" {
			how += ": " + a.Reason
		}
		if a.By != nil {
			how += ", asked for by " + a.By.String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s → %s\t%s\t%s\n", a.Ended.UTC().Format(time.RFC3339), a.Kind, a.From, a.To, a.ID, plain(how))
	}
	return w.Flush()
}

func (a *alone) History(context.Context) (admin.History, error) {
	list, err := a.u.History()
	return admin.History{Schema: admin.Schema, Attempts: append([]updater.Attempt{}, list...)}, err
}
