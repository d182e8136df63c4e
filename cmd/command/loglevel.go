package command

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/server/admin"
)

func (c cli) logLevel() *cobra.Command {
	var (
		w      where
		limit  time.Duration
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "log-level [LEVEL]",
		Short: "Show what the running server logs, or let it log more or less, for a while if so asked",
		Long: `Show the least level of what the running server logs, or set it: debug, info, warn or error. With --for, the usual level comes back by itself after that;
in any case a successor begins with the level that it is started with.`,
		Example:   c.examples("log-level", "log-level debug --for 10m", "log-level info"),
		Args:      arguments(1),
		ValidArgs: []string{"debug", "info", "warn", "error"},
	}
	w.flags(cmd, c)
	cmd.Flags().DurationVar(&limit, "for", 0, "how long (default until this process is replaced)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	cmd.RunE = c.runE(&asJSON, func(cmd *cobra.Command, args []string) error {
		if limit < 0 || limit > 0 && len(args) == 0 {
			return usage("--for %s: want a level, and how long it lasts", limit)
		}
		var level slog.Level
		if len(args) > 0 {
			if err := level.UnmarshalText([]byte(args[0])); err != nil {
				return usage("level %q: want debug, info, warn or error", args[0])
			}
		}
		t, err := c.running(&w)
		if err != nil {
			return err
		}
		var l admin.LogLevel
		if len(args) == 0 {
			l, err = t.LogLevel(cmd.Context())
		} else {
			l, err = t.SetLogLevel(cmd.Context(), admin.SetLogLevel{Level: level.String(), For: admin.Seconds(limit)})
		}
		if err != nil {
			return err
		}
		return c.printLogLevel(cmd, l, asJSON)
	})
	return cmd
}

func (c cli) printLogLevel(cmd *cobra.Command, l admin.LogLevel, asJSON bool) (err error) {
	out := cmd.OutOrStdout()
	switch {
	case asJSON:
		err = printJSON(out, l)
	case l.Until.IsZero():
		_, err = fmt.Fprintf(out, "%s logs %s\n", c.s.Name, plain(l.Level))
	default:
		_, err = fmt.Fprintf(out, "%s logs %s until %s, then %s\n", c.s.Name, plain(l.Level), l.Until.Local().Format(time.TimeOnly), plain(l.Usual))
	}
	return err
}
