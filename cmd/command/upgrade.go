package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

func (c cli) upgrade() *cobra.Command {
	var (
		w      where
		source sourceFlags
		ch     change
		check  bool
		force  bool
	)
	cmd := &cobra.Command{
		Use:   "upgrade [VERSION]",
		Short: "Replace this program by a newer version, and restart the running server without losing a request",
		Long: `Replace this program by the newest version, or by VERSION.

A running server does it itself: it verifies the new version, hands over to it and watches it on probation; this
command waits for the verdict. If no server is running, the executable is replaced and nothing is restarted. It does not wait for a rollout or a
window; a hold and a quarantine stop it unless it is forced, and nothing skips verification.`,
		Example: c.examples("upgrade", "upgrade 1.5.0 --yes", "upgrade --yes --progress=json", "upgrade --file ./"+c.s.Name+"-1.5.0 --yes"),
		Args:    arguments(1),
	}
	w.flags(cmd, c)
	source.flags(cmd, c)
	source.fileFlag(cmd)
	ch.flags(cmd)
	cmd.Flags().BoolVar(&check, "check", false, "only look, as check does")
	cmd.Flags().BoolVar(&force, "force", false, "also while updates are held, or a version that is quarantined or halted; never one that is not verified, or yanked")
	cmd.RunE = ch.runE(c, func(cmd *cobra.Command, args []string) error {
		r := admin.Request{Force: force}
		if len(args) > 0 {
			r.Version = args[0]
		}
		if !check {
			if err := ch.mayAsk(cmd); err != nil {
				return err
			}
		}
		t, err := c.target(cmd, &w, &source, !check)
		if err != nil {
			return err
		}
		defer t.close()
		if _, ok := t.(remote); ok && source.file != "" {
			if r.File, err = source.remoteFile(); err != nil {
				return err
			}
		}
		if check {
			r.Patient = r.Version == "" && !r.Force
			return c.runCheck(cmd, t, r, ch.json)
		}
		plan, err := c.plan(cmd, t, r)
		if err != nil {
			return err
		}
		if plan == "" {
			return ch.current(cmd, c, t)
		}
		if err := ch.confirm(cmd, plan); err != nil {
			return err
		}
		return ch.run(cmd, c, t, t.Upgrade, r)
	})
	return cmd
}

// plan says what an upgrade would do: "" for nothing.
func (c cli) plan(cmd *cobra.Command, t target, r admin.Request) (string, error) {
	found, err := t.Check(cmd.Context(), r)
	switch {
	case err != nil:
		return "", err
	case found.Stop != nil && !(r.Force && found.Stop.Reason == "quarantined"):
		return "", found.Stop
	case found.Version == "":
		return "", &admin.Failure{Class: updater.Temporary, Reason: "missing", Message: "nothing is offered now", Serving: t.serving(cmd.Context())}
	case found.Stop == nil && !found.Available:
		return "", nil
	}
	plan := fmt.Sprintf("%s %s → %s (%s)", c.s.Name, found.Current, found.Version, size(found.Length))
	if found.Notes != "" {
		plan += "\n" + plain(found.Notes)
	}
	return plan, nil
}
