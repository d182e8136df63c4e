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

func (c cli) quarantine() *cobra.Command {
	cmd := c.quarantineList("quarantine")
	cmd.Short = "Show the builds that failed here and are not tried again, or let them be"
	cmd.AddCommand(c.quarantineList("list"), c.quarantineClear())
	return cmd
}

func (c cli) quarantineList(name string) *cobra.Command {
	var (
		w      where
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   name,
		Short: "Show the builds that failed here and are not tried again",
		Long: `Show the builds that crashed or fell ill here on probation, or that a rollback has left: by version, digest, since when, and why. They are not tried
again by themselves, on this host. "quarantine clear" lets them be tried, "upgrade --force" tries one once.`,
		Example: c.examples("quarantine", "quarantine clear 1.4.0"),
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
		q, err := t.Quarantine(cmd.Context())
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		switch {
		case asJSON:
			return printJSON(out, q)
		case len(q.Quarantine) == 0:
			_, err = fmt.Fprintf(out, "%s: nothing is in quarantine\n", c.s.Name)
			return err
		}
		return printBuilds(out, q.Quarantine)
	})
	return cmd
}

func printBuilds(out io.Writer, list []updater.Quarantined) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, q := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", q.Version, q.Digest.Short(), q.Since.UTC().Format(time.RFC3339), plain(q.Reason))
	}
	return w.Flush()
}

func (c cli) quarantineClear() *cobra.Command {
	var (
		w      where
		all    bool
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "clear VERSION|DIGEST|--all",
		Short: "Let builds be tried again: of a version, that whose digest begins so, or all",
		Long: `Let builds be tried again that failed here, by version, by the beginning of the digest, or all. Do so when the reason was this host and is gone. A build that is
still the newest comes with the next check.`,
		Example: c.examples("quarantine clear 1.4.0", "quarantine clear 8c21f0", "quarantine clear --all"),
		Args:    arguments(1),

		ValidArgsFunction: c.stateful(quarantined),
	}
	w.flags(cmd, c)
	cmd.Flags().BoolVar(&all, "all", false, "all of them")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	cmd.RunE = c.runE(&asJSON, func(cmd *cobra.Command, args []string) error {
		which := admin.Clear{All: all}
		if len(args) > 0 {
			which.Which = args[0]
		}
		if err := which.Check(); err != nil {
			return err
		}
		t, err := c.target(cmd, &w, nil, true)
		if err != nil {
			return err
		}
		defer t.close()
		cleared, err := t.Unquarantine(cmd.Context(), which)
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		if asJSON {
			return printJSON(out, cleared)
		}
		for _, q := range cleared.Quarantine {
			fmt.Fprintf(out, "%s %s (%s) may be tried again\n", c.s.Name, q.Version, q.Digest.Short())
		}
		if len(cleared.Quarantine) == 0 {
			_, err = fmt.Fprintf(out, "%s: nothing is in quarantine\n", c.s.Name)
		}
		return err
	})
	return cmd
}

func (a *alone) Quarantine(context.Context) (admin.Quarantine, error) {
	st, err := a.u.Status()
	return admin.Quarantine{Schema: admin.Schema, Quarantine: st.Quarantine}, err
}

func (a *alone) Unquarantine(_ context.Context, c admin.Clear) (admin.Quarantine, error) {
	if err := c.Check(); err != nil {
		return admin.Quarantine{}, err
	}
	cleared, err := a.u.Unquarantine(c.Which)
	return admin.Quarantine{Schema: admin.Schema, Quarantine: cleared}, err
}
