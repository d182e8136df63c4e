package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
)

func newShow() *cobra.Command {
	var from viewFlags
	var channel string
	cmd := &cobra.Command{
		Use:   "show DIR|URL [VERSION]",
		Short: "Show all that a feed says of a version, or of itself",
		Long: `Show one version in every channel that has it: platforms, digests, payloads, deltas with their share of the whole, rollout, notes and whatever stops it.
Without a version, show the feed: its channels, and until when each signature holds.`,
		Example: "  moult show feed 1.4.0\n  moult show feed",
		Args:    nArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := from.open(cmd, args[0])
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return emit(cmd, newFeedResult(v))
			}
			version, err := release.ParseVersion(args[1])
			if err != nil {
				return &usageError{err}
			}
			indexes, err := v.only(channel, "")
			if err != nil {
				return err
			}
			r := newShowResult(v, indexes, version, time.Now())
			if len(r.Releases) == 0 {
				return fmt.Errorf("version %s in %s: %w", version, args[0], release.ErrNoRelease)
			}
			return emit(cmd, r)
		},
	}
	from.add(cmd)
	cmd.Flags().StringVar(&channel, "channel", "", "only in this `channel`")
	return cmd
}

type feedResult struct {
	Schema   int          `json:"schema"`
	App      string       `json:"app"`
	Channels []newestLine `json:"channels"`
	Expiries []tuf.Expiry `json:"expiries"`
}

// newestLine is the head of a channel.
type newestLine struct {
	Channel   string          `json:"channel"`
	Newest    release.Version `json:"newest"`
	Releases  int             `json:"releases"` // on the platform that has most
	Platforms int             `json:"platforms"`
}

func newFeedResult(v *view) *feedResult {
	r := &feedResult{Schema: schema, App: v.app, Expiries: v.expiries, Channels: []newestLine{}}
	for _, ix := range v.indexes {
		if n := len(r.Channels); n == 0 || r.Channels[n-1].Channel != ix.Channel { // they come sorted by channel
			r.Channels = append(r.Channels, newestLine{Channel: ix.Channel})
		}
		l := &r.Channels[len(r.Channels)-1]
		l.Platforms++
		l.Releases = max(l.Releases, len(ix.Releases))
		if newest, err := ix.Latest(); err == nil && newest.Version.Compare(l.Newest) > 0 {
			l.Newest = newest.Version
		}
	}
	return r
}

func (r *feedResult) text(w io.Writer) {
	fmt.Fprintf(w, "%s\n\n", r.App)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CHANNEL\tNEWEST\tRELEASES\tPLATFORMS")
	for _, l := range r.Channels {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\n", l.Channel, l.Newest, l.Releases, l.Platforms)
	}
	fmt.Fprintln(t, "\t\t\t")
	fmt.Fprintln(t, "SIGNED BY\tVERSION\tVALID UNTIL\t")
	for _, e := range r.Expiries {
		fmt.Fprintf(t, "%s\t%d\t%s\t\n", e.Role, e.Version, e.Expires.Local().Format(time.DateTime))
	}
	t.Flush()
}

type showResult struct {
	Schema   int             `json:"schema"`
	App      string          `json:"app"`
	Version  release.Version `json:"version"`
	Releases []shownRelease  `json:"releases"`
}

// shownRelease is the version on one platform of one channel.
type shownRelease struct {
	tuf.IndexName
	Share float64 `json:"share"` // of the hosts that may have it now
	release.Release
}

func newShowResult(v *view, indexes []*release.Index, version release.Version, now time.Time) *showResult {
	r := &showResult{Schema: schema, App: v.app, Version: version, Releases: []shownRelease{}}
	for _, ix := range indexes {
		if rel, err := ix.Find(version); err == nil {
			r.Releases = append(r.Releases, shownRelease{tuf.IndexName{Channel: ix.Channel, Platform: ix.Platform}, shareNow(rel, now), rel})
		}
	}
	return r
}

func (r *showResult) text(w io.Writer) {
	channel := ""
	for _, s := range r.Releases {
		if s.Channel != channel {
			channel = s.Channel
			s.head(w, r.App)
		}
		s.platform(w)
	}
}

// head prints what is the same on all platforms of a channel.
func (s *shownRelease) head(w io.Writer, app string) {
	fmt.Fprintf(w, "%s %s in %s, published %s\n", app, s.Version, s.Channel, s.Published.Local().Format(time.DateTime))
	if state := stateText(s.Critical, s.Minimum, s.Halted, s.Yanked); state != "-" {
		fmt.Fprintf(w, "  state    %s\n", state)
	}
	if s.Rollout != nil {
		fmt.Fprintf(w, "  rollout  %s of the hosts may have it now; %s\n", percent(s.Share), curveText(s.Rollout))
	}
	for i, line := range strings.Split(strings.TrimSpace(s.Notes), "\n") {
		label := "notes"
		if i > 0 {
			label = ""
		}
		if line != "" {
			fmt.Fprintf(w, "  %-8s %s\n", label, printable(line))
		}
	}
}

// curveText names the corners of a rollout.
func curveText(r *release.Rollout) string {
	var corners []string
	for _, p := range r.Curve {
		at := r.Start.Add(time.Duration(p.Seconds) * time.Second)
		corners = append(corners, percent(p.Share)+" at "+at.Local().Format("2006-01-02 15:04"))
	}
	return strings.Join(corners, ", ")
}

func (s *shownRelease) platform(w io.Writer) {
	a := s.Artifact
	fmt.Fprintf(w, "  %s\n", s.Platform)
	fmt.Fprintf(w, "    executable  %10s  sha256 %s\n", sizeText(a.Length), a.SHA256)
	payload := func(name string, p release.Payload) {
		fmt.Fprintf(w, "    %-10s  %10s  %6s  %s\n", name, sizeText(p.Length), percent(float64(p.Length)/float64(a.Length)), release.HashedPath(p.Path, p.SHA256))
	}
	payload(formatText(a.Full.Format), a.Full)
	for _, d := range a.Deltas {
		payload(formatText(d.Format), d.Payload)
		fmt.Fprintf(w, "    %10s  from sha256 %s\n", "", d.From)
	}
}

func formatText(f release.Format) string {
	if f == release.Raw {
		return "raw"
	}
	return string(f)
}
