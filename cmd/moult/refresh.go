package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release/tuf"
)

func newRefresh() *cobra.Command {
	var keys keyFlags
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "refresh DIR",
		Short: "Sign again that the feed is fresh",
		Long: `Sign the timestamp of the feed in DIR again, and whatever else is past half of its time. Run it on a timer, every day: a feed that nobody refreshes
stops updates after two weeks, so that nobody can hold servers back by serving them an old copy for ever. With a timer that you trust, let
timestamps hold for less: --timestamp-life 72h.`,
		Example: "  moult refresh feed",
		Args:    nArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			repo, err := keys.open(cmd, args[0])
			if err != nil {
				return err
			}
			if life == 0 {
				err = repo.Refresh(cmd.Context())
			} else {
				err = repo.SetTimestampLife(cmd.Context(), life)
			}
			if err != nil {
				return err
			}
			warnExpiry(cmd, repo)
			return emit(cmd, &refreshResult{Schema: schema, App: repo.App(), Expiries: repo.Expiries()})
		},
	}
	cmd.Flags().DurationVar(&life, "timestamp-life", 0, "from now on let timestamps hold for this `time` (336h at first); needs the targets key")
	keys.add(cmd)
	return cmd
}

type refreshResult struct {
	Schema   int          `json:"schema"`
	App      string       `json:"app"`
	Expiries []tuf.Expiry `json:"expiries"`
}

func (r *refreshResult) text(w io.Writer) {
	for _, e := range r.Expiries {
		fmt.Fprintf(w, "%-9s version %-4d valid until %s\n", e.Role, e.Version, e.Expires.Local().Format(time.DateTime))
	}
}
