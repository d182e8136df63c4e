package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release/tuf"
)

func newPrune() *cobra.Command {
	var keys keyFlags
	var q tuf.PruneRequest
	cmd := &cobra.Command{
		Use:   "prune DIR",
		Short: "Drop old releases, and files that nothing refers to",
		Long: `Drop old releases from the feed in DIR, deltas that start from none that is left, and the files that nothing has referred to for the grace
period. With --keep and --older-than a release goes if both let it; with neither no release goes. Never dropped are the newest release of a channel, one
that another channel keeps, and the stepping stone that the minimum version of a kept one asks for. It can be interrupted and run again.`,
		Example: "  moult prune feed --keep 10 --dry-run",
		Args:    nArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if q.Keep < 0 || q.OlderThan < 0 || q.Grace < 0 {
				return &usageError{errors.New("--keep, --older-than and --grace must not be negative")}
			}
			if q.Grace == 0 {
				q.Grace = -1
			}
			repo, err := keys.open(cmd, args[0])
			if err != nil {
				return err
			}
			p, err := repo.Prune(cmd.Context(), q)
			if err != nil {
				return err
			}
			warnExpiry(cmd, repo)
			return emit(cmd, newPruneResult(repo.App(), args[0], q, p))
		},
	}
	cmd.Flags().IntVar(&q.Keep, "keep", 0, "`number` of the newest releases of each channel and platform that stay")
	cmd.Flags().DurationVar(&q.OlderThan, "older-than", 0, "keep what was published more recently than this `duration` ago")
	cmd.Flags().DurationVar(&q.Grace, "grace", tuf.DefaultGrace, "`duration` that a file stays after the last reference to it, for who is in the middle of a check")
	cmd.Flags().BoolVar(&q.DryRun, "dry-run", false, "say what would go, and change nothing")
	keys.add(cmd)
	return cmd
}

type pruneResult struct {
	Schema   int                 `json:"schema"`
	App      string              `json:"app"`
	DryRun   bool                `json:"dry_run,omitempty"`
	Releases []tuf.PrunedRelease `json:"releases"` // dropped from their index
	Deltas   int                 `json:"deltas"`   // dropped from releases that stay
	Files    []tuf.PrunedFile    `json:"files"`    // removed
	Waiting  []tuf.PrunedFile    `json:"waiting"`  // to be removed after the grace period
	dir      string
	grace    time.Duration
}

func newPruneResult(app, dir string, q tuf.PruneRequest, p *tuf.Pruned) *pruneResult {
	return &pruneResult{
		Schema: schema, App: app, DryRun: q.DryRun, Deltas: p.Deltas, dir: dir, grace: q.Grace,
		Releases: append([]tuf.PrunedRelease{}, p.Releases...),
		Files:    append([]tuf.PrunedFile{}, p.Files...),
		Waiting:  append([]tuf.PrunedFile{}, p.Waiting...),
	}
}

func (r *pruneResult) text(w io.Writer) {
	would := ""
	if r.DryRun {
		would = "would be "
	}
	for _, rel := range r.Releases {
		fmt.Fprintf(w, "%s %s %sdropped from %s for %s\n", r.App, rel.Version, would, rel.Channel, rel.Platform)
	}
	if r.Deltas > 0 {
		fmt.Fprintf(w, "%d deltas that start from no release any more %sdropped\n", r.Deltas, would)
	}
	if len(r.Files) > 0 {
		fmt.Fprintf(w, "%d files %sremoved, %s\n", len(r.Files), would, sizeText(bytesIn(r.Files)))
	}
	if len(r.Releases)+r.Deltas+len(r.Files)+len(r.Waiting) == 0 {
		fmt.Fprintln(w, "There is nothing to prune.")
	}
	if len(r.Waiting) > 0 {
		fmt.Fprintf(w, "%d files that nothing refers to, %s, stay for %s after the last reference to them: run moult prune %s again then\n",
			len(r.Waiting), sizeText(bytesIn(r.Waiting)), r.grace, r.dir)
	}
	if r.DryRun && len(r.Releases) > 0 {
		fmt.Fprintln(w, "Nothing was changed: run it without --dry-run. The files of what is dropped go after the grace period.")
	}
}

func bytesIn(files []tuf.PrunedFile) (n int64) {
	for _, f := range files {
		n += f.Length
	}
	return n
}
