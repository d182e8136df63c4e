package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
)

func newPromote() *cobra.Command {
	var keys keyFlags
	var from, to string
	cmd := &cobra.Command{
		Use:     "promote DIR VERSION",
		Short:   "Copy a version from one channel to another, on all platforms",
		Example: "  moult promote feed 1.4.0",
		Args:    nArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := release.ParseVersion(args[1])
			if err != nil {
				return &usageError{err}
			}
			repo, err := keys.open(cmd, args[0])
			if err != nil {
				return err
			}
			c, err := repo.Promote(cmd.Context(), tuf.PromoteRequest{Version: v, From: from, To: to})
			if err != nil {
				return err
			}
			warnExpiry(cmd, repo)
			return emit(cmd, &promoteResult{Schema: schema, App: repo.App(), Version: v, From: from, To: to, Platforms: len(c.Releases)})
		},
	}
	cmd.Flags().StringVar(&from, "from", "beta", "`channel` that has the version")
	cmd.Flags().StringVar(&to, "to", "stable", "`channel` that gets it")
	keys.add(cmd)
	return cmd
}

type promoteResult struct {
	Schema    int             `json:"schema"`
	App       string          `json:"app"`
	Version   release.Version `json:"version"`
	From      string          `json:"from"`
	To        string          `json:"to"`
	Platforms int             `json:"platforms"`
}

func (r *promoteResult) text(w io.Writer) {
	fmt.Fprintf(w, "%s %s is in %s now, as in %s, on %d platforms\n", r.App, r.Version, r.To, r.From, r.Platforms)
}
