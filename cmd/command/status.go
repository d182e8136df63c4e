package command

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

func (c cli) status() *cobra.Command {
	var (
		w      where
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what is serving, and how its updates stand",
		Long: `Show what serves now and since when, the old generations that still drain, how the last restart and the last upgrade went, and what stands in the way of
the next one. It is the first thing to type when something looks wrong; the server answers also while it drains or is on probation.`,
		Example: c.examples("status", "status --json | jq .updater.last"),
		Args:    arguments(0),
	}
	w.flags(cmd, c)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	cmd.RunE = c.runE(&asJSON, func(cmd *cobra.Command, _ []string) error {
		t, err := c.running(&w)
		if err != nil {
			return err
		}
		st, err := t.Status(cmd.Context())
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), st)
		}
		return printStatus(cmd.OutOrStdout(), st)
	})
	return cmd
}

func printStatus(out io.Writer, st admin.Status) error {
	well := st.State == "serving" && st.RestartError == "" && (st.Updater == nil || st.Updater.Disk == "" && st.Updater.Yanked == nil)
	fmt.Fprintf(out, "%s %s %s %s, generation %d, pid %d, started %s\n",
		dot(out, well), st.App, st.Version, st.State, st.Generation, st.PID, ago(st.Since))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %s\t%s\n", name, plain(fmt.Sprintf(format, args...)))
	}
	row("listen", "%s", strings.Join(st.Listen, ", "))
	row("connections", "%d", st.Connections)
	for _, d := range st.Draining {
		row("draining", "generation %d, pid %d, %d connections left, began %s", d.Generation, d.PID, d.Connections, ago(d.Since))
	}
	row("instance", "%s", st.Instance)
	if st.Updates.On {
		row("updates", "on")
	} else {
		row("updates", "off: %s", st.Updates.Reason)
	}
	if st.Updater != nil && st.Updater.Disabled != "" {
		row("instead", "%s", st.Updater.Disabled)
	}
	if st.RestartError != "" {
		row("restart", "undone: %s", st.RestartError)
	}
	if st.Updater != nil {
		updaterRows(row, *st.Updater)
	}
	return w.Flush()
}

func updaterRows(row func(name, format string, args ...any), u updater.Status) {
	if u.Source != "" {
		row("source", "%s", u.Source)
	}
	if u.Hold != nil {
		row("hold", "%s", u.Hold)
	}
	if u.Owner != nil {
		row("owner", "%s, a package of %s: %s", u.Owner.Name, u.Owner.Manager, u.Owner.Upgrade)
	}
	if u.Constraint != "" {
		row("constraint", "%s", u.Constraint)
	}
	if u.Window != nil {
		row("window", "%s", standing(*u.Window))
	}
	if u.Disk != "" {
		row("disk", "%s", u.Disk)
	}
	if len(u.Exposed) > 0 {
		row("exposed", "others may write %s", strings.Join(u.Exposed, ", "))
	}
	if a := u.Attempt; a != nil {
		row("upgrade", "%s → %s  %s  %s", a.From, a.To, a.ID, u.Phase)
	}
	if a := u.Last; a != nil {
		why := ""
		if a.Reason != "" {
			why = ": " + a.Reason
		}
		row("last", "%s → %s  %s  %s%s, %s", a.From, a.To, a.ID, a.Outcome, why, ago(a.Ended))
	}
	if u.CheckError != "" {
		row("check", "%s: %s", u.CheckReason, u.CheckError)
	}
	if u.Rollout != nil {
		row("rollout", "%s: %s", u.Rollout.Version, turn(*u.Rollout))
	}
	if u.Yanked != nil {
		row("yanked", "the version that runs: %s, %s", u.Yanked.Reason, ago(u.Yanked.Since))
	}
	if !u.NextCheck.IsZero() {
		row("next", "check in %s", time.Until(u.NextCheck).Round(time.Second))
	}
	for _, k := range u.Kept {
		row("kept", "%s  %s", k.Version, k.Digest.Short())
	}
	for _, q := range u.Quarantine {
		row("quarantine", "%s  %s  %s", q.Version, q.Digest.Short(), q.Reason)
	}
}

// standing says how the windows stand.
func standing(o updater.Opening) string {
	if o.Open {
		return "open until " + o.At.Format(time.RFC3339)
	}
	return "opens at " + o.At.Format(time.RFC3339)
}

// turn says when this host may have a release that is rolled out.
func turn(t updater.Turn) string {
	if t.At.IsZero() {
		return "never yours, as the rollout is now"
	}
	return "yours at " + t.At.UTC().Format(time.RFC3339)
}
