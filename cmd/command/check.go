package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/server/admin"
)

func (c cli) check() *cobra.Command {
	var (
		w      where
		source sourceFlags
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Look for a newer version; exit with 100 if there is one",
		Long: `Look for a newer version and say what would become of it: applied, or stopped and why. Nothing is downloaded or changed. The exit code is
100 if there is one that would be applied by itself, 0 if there is none, and 3 if something stops it. Use it in scripts and monitoring; to have the version, upgrade.`,
		Example: c.examples("check", "check --json", "check --feed https://example.com/"+c.s.Name+" --root root.json"),
		Args:    arguments(0),
	}
	w.flags(cmd, c)
	source.flags(cmd, c)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	cmd.RunE = c.runE(&asJSON, func(cmd *cobra.Command, _ []string) error {
		t, err := c.target(cmd, &w, &source, false)
		if err != nil {
			return err
		}
		defer t.close()
		return c.runCheck(cmd, t, admin.Request{Patient: true}, asJSON)
	})
	return cmd
}

// checker is the part of a target that only looks.
type checker interface {
	Check(context.Context, admin.Request) (admin.Check, error)
}

func (c cli) runCheck(cmd *cobra.Command, t checker, r admin.Request, asJSON bool) error {
	found, err := t.Check(cmd.Context(), r)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if y := found.Yanked; y != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: warning: version %s, which runs, was yanked: %s\n", c.s.Name, found.Current, plain(y.Reason))
	}
	switch {
	case asJSON:
		err = printJSON(out, found)
	case found.Available:
		_, err = fmt.Fprintf(out, "%s %s → %s is available (%s)\n", c.s.Name, found.Current, found.Version, size(found.Length))
	case found.Version == "":
		_, err = fmt.Fprintf(out, "%s %s: nothing is offered now\n", c.s.Name, found.Current)
	case found.Stop == nil:
		_, err = fmt.Fprintf(out, "%s %s is current\n", c.s.Name, found.Current)
	}
	if t := found.Rollout; t != nil && err == nil && !asJSON {
		_, err = fmt.Fprintf(out, "%s %s: %s\n", c.s.Name, t.Version, turn(*t))
	}
	switch {
	case err != nil:
		return err
	case found.Available:
		return errAvailable
	case found.Stop != nil:
		return &shownError{found.Stop}
	}
	return nil
}
