package command

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

func (c cli) hold() *cobra.Command {
	var (
		w      where
		until  string
		h      updater.Hold
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "hold",
		Short: "Apply no newer version until unhold, or until a time",
		Long: `Apply no newer version until "unhold", or until a time. It survives restarts and rollbacks, and counts for "upgrade" as well,
unless that is told to --force. Holding what is held changes reason and end, and not since when.`,
		Example: c.examples("hold --reason 'the fair' --until 2026-12-31", "hold --until 36h"),
		Args:    arguments(0),
	}
	w.flags(cmd, c)
	fl := cmd.Flags()
	fl.StringVar(&h.Reason, "reason", "", "why, for those who find it held")
	fl.StringVar(&until, "until", "", `when it ends: "36h", "7d", "2026-12-31", "2026-12-31 18:00" or RFC 3339 (default: at unhold)`)
	fl.BoolVar(&asJSON, "json", false, "print one JSON document")
	cmd.RunE = c.runE(&asJSON, func(cmd *cobra.Command, _ []string) error {
		var err error
		if h.Until, err = parseUntil(until, time.Now()); err != nil {
			return err
		}
		h.By = whoami()
		t, err := c.target(cmd, &w, nil, true)
		if err != nil {
			return err
		}
		defer t.close()
		held, err := t.Hold(cmd.Context(), h)
		if err != nil {
			return err
		}
		return c.printHeld(cmd, held, asJSON)
	})
	return cmd
}

func (c cli) unhold() *cobra.Command {
	var (
		w      where
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:     "unhold",
		Short:   "Let updates go on",
		Long:    `Let updates go on that "hold" has stopped. Nothing is applied at once: the next check decides, or "upgrade".`,
		Example: c.examples("unhold"),
		Args:    arguments(0),
	}
	w.flags(cmd, c)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	cmd.RunE = c.runE(&asJSON, func(cmd *cobra.Command, _ []string) error {
		t, err := c.target(cmd, &w, nil, true)
		if err != nil {
			return err
		}
		defer t.close()
		held, err := t.Unhold(cmd.Context())
		if err != nil {
			return err
		}
		return c.printHeld(cmd, held, asJSON)
	})
	return cmd
}

func (c cli) printHeld(cmd *cobra.Command, held admin.Held, asJSON bool) error {
	out := cmd.OutOrStdout()
	if asJSON {
		return printJSON(out, held)
	}
	what := "updates are not held"
	if held.Hold != nil {
		what = held.Hold.String()
	}
	_, err := fmt.Fprintf(out, "%s: %s\n", c.s.Name, plain(what))
	return err
}

// parseUntil reads the end of a hold: a time to come, or how long it is to that.
func parseUntil(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if n, err := strconv.Atoi(strings.TrimSuffix(s, "d")); err == nil && strings.HasSuffix(s, "d") {
		return now.AddDate(0, 0, n), nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(d), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly, "2006-01-02 15:04", "2006-01-02T15:04"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usage(`--until %q: want a time such as "36h", "7d", "2026-12-31" or "2026-12-31 18:00"`, s)
}

// whoami names the person at the keyboard.
func whoami() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}

// self is who runs this command, for the history.
func self() *updater.Asker {
	uid := os.Getuid()
	if uid < 0 { // Windows has none
		return nil
	}
	return &updater.Asker{UID: uid, PID: os.Getpid(), User: whoami()}
}

func (a *alone) Hold(_ context.Context, h updater.Hold) (admin.Held, error) {
	if err := a.u.Hold(h); err != nil {
		return admin.Held{}, err
	}
	return a.held()
}

func (a *alone) Unhold(context.Context) (admin.Held, error) {
	if err := a.u.Unhold(); err != nil {
		return admin.Held{}, err
	}
	return a.held()
}

func (a *alone) held() (admin.Held, error) {
	st, err := a.u.Status()
	return admin.Held{Schema: admin.Schema, Hold: st.Hold}, err
}
