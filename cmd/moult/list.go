package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release"
)

func newList() *cobra.Command {
	var from viewFlags
	var channel, platform string
	cmd := &cobra.Command{
		Use:   "list DIR|URL",
		Short: "List the versions of each channel",
		Long: `List what a feed offers: each channel's versions, newest first, with their platforms, sizes, deltas, rollout and whatever stops them. A directory needs
no key, and is listed when it is expired too; a URL is read as servers read it.`,
		Example: "  moult list feed\n  moult list https://example.com/hello --root root.json --channel stable",
		Args:    nArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := from.open(cmd, args[0])
			if err != nil {
				return err
			}
			indexes, err := v.only(channel, platform)
			if err != nil {
				return err
			}
			return emit(cmd, newListResult(v, indexes, time.Now()))
		},
	}
	from.add(cmd)
	cmd.Flags().StringVar(&channel, "channel", "", "only this `channel`")
	cmd.Flags().StringVar(&platform, "platform", "", "only this platform, as `os/arch[/variant]`")
	return cmd
}

type listResult struct {
	Schema   int          `json:"schema"`
	App      string       `json:"app"`
	Versions []listedLine `json:"versions"`
}

// listedLine is one version in one channel.
type listedLine struct {
	Channel   string             `json:"channel"`
	Version   release.Version    `json:"version"`
	Published time.Time          `json:"published"`
	Platforms []release.Platform `json:"platforms"`
	Bytes     int64              `json:"bytes"` // of the full payloads of all platforms
	Deltas    int                `json:"deltas"`
	Share     float64            `json:"share"` // of the hosts that may have it now
	Critical  bool               `json:"critical,omitempty"`
	Minimum   release.Version    `json:"minimum,omitzero"`
	Halted    *release.Stop      `json:"halted,omitempty"`
	Yanked    *release.Stop      `json:"yanked,omitempty"`
}

func newListResult(v *view, indexes []*release.Index, now time.Time) *listResult {
	r := &listResult{Schema: schema, App: v.app, Versions: []listedLine{}}
	for _, ix := range indexes {
		for _, rel := range ix.Releases {
			i := slices.IndexFunc(r.Versions, func(l listedLine) bool {
				return l.Channel == ix.Channel && l.Version.Compare(rel.Version) == 0
			})
			if i < 0 {
				i = len(r.Versions)
				r.Versions = append(r.Versions, listedLine{
					Channel: ix.Channel, Version: rel.Version, Published: rel.Published, Share: shareNow(rel, now),
					Critical: rel.Critical, Minimum: rel.Minimum, Halted: rel.Halted, Yanked: rel.Yanked,
				})
			}
			l := &r.Versions[i]
			l.Platforms = append(l.Platforms, ix.Platform)
			l.Bytes += rel.Artifact.Full.Length
			l.Deltas += len(rel.Artifact.Deltas)
		}
	}
	slices.SortStableFunc(r.Versions, func(a, b listedLine) int {
		if c := strings.Compare(a.Channel, b.Channel); c != 0 {
			return c
		}
		return b.Version.Compare(a.Version)
	})
	return r
}

// shareNow is the share of hosts that may have a release, whatever stops it.
func shareNow(r release.Release, now time.Time) float64 {
	if r.Rollout == nil {
		return 1
	}
	return r.Rollout.Share(now)
}

func (r *listResult) text(w io.Writer) {
	if len(r.Versions) == 0 {
		fmt.Fprintf(w, "Nothing is published of %s yet.\n", r.App)
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CHANNEL\tVERSION\tPUBLISHED\tPLATFORMS\tSIZE\tDELTAS\tHOSTS\tSTATE")
	for _, l := range r.Versions {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", l.Channel, l.Version, l.Published.Local().Format(time.DateOnly), platformsText(l.Platforms),
			sizeText(l.Bytes), l.Deltas, percent(l.Share), stateText(l.Critical, l.Minimum, l.Halted, l.Yanked))
	}
	t.Flush()
}

// platformsText names a few platforms and counts many.
func platformsText(ps []release.Platform) string {
	const most = 3
	var names []string
	for _, p := range ps {
		names = append(names, p.String())
	}
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most-1], ", "), len(names)-most+1)
	}
	return strings.Join(names, ", ")
}

// stateText is what a release manager must not overlook.
func stateText(critical bool, minimum release.Version, halted, yanked *release.Stop) string {
	var s []string
	if yanked != nil {
		s = append(s, stopText("yanked", yanked))
	}
	if halted != nil {
		s = append(s, stopText("halted", halted))
	}
	if critical {
		s = append(s, "critical")
	}
	if !minimum.IsZero() {
		s = append(s, "from "+minimum.String()+" on")
	}
	if len(s) == 0 {
		return "-"
	}
	return printable(strings.Join(s, "; "))
}

func stopText(what string, s *release.Stop) string {
	if s.Reason == "" {
		return what
	}
	return what + ": " + s.Reason
}

func percent(share float64) string { return fmt.Sprintf("%.4g %%", 100*share) }

// sizeText is a number of bytes for people.
func sizeText(n int64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d B", n)
	case n < 10_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
