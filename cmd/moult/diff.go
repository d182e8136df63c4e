package main

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
)

func newDiff() *cobra.Command {
	var oldFlags, newFlags viewFlags
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say in what two feeds differ",
		Long: `Say what readers of the feed OLD would see change if it became NEW: releases that come, go, or change, channel by channel. Each is a directory or
a URL; before a sync, OLD is what is served and NEW your directory.`,
		Example: "  moult diff https://example.com/hello feed --root root.json",
		Args:    nArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			newFlags.root = oldFlags.root
			older, err := oldFlags.open(cmd, args[0])
			if err != nil {
				return err
			}
			newer, err := newFlags.open(cmd, args[1])
			if err != nil {
				return err
			}
			return emit(cmd, newDiffResult(older, newer))
		},
	}
	cmd.Flags().StringVar(&oldFlags.root, "root", "", "`file` with the root that the program embeds (of a directory: the root beside its keys)")
	return cmd
}

type diffResult struct {
	Schema  int      `json:"schema"`
	App     string   `json:"app"`
	Same    bool     `json:"same"` // what is offered; signatures may be fresher
	Changes []change `json:"changes"`
}

// change is what becomes of one release.
type change struct {
	tuf.IndexName
	Version release.Version `json:"version"`
	Kind    string          `json:"kind"`              // "added", "removed", "changed"
	Details []string        `json:"details,omitempty"` // of a changed one
}

func newDiffResult(older, newer *view) *diffResult {
	r := &diffResult{Schema: schema, App: newer.app, Changes: []change{}}
	if older.app != newer.app && older.app != "" {
		r.App = older.app + " and " + newer.app
	}
	was, is := releasesOf(older), releasesOf(newer)
	for _, k := range slices.SortedFunc(keysOfBoth(was, is), compareKeys) {
		o, hadIt := was[k]
		n, hasIt := is[k]
		c := change{IndexName: k.IndexName, Version: o.Version}
		switch {
		case !hadIt:
			c.Kind, c.Version = "added", n.Version
		case !hasIt:
			c.Kind = "removed"
		default:
			c.Kind, c.Details = "changed", changesOf(o, n)
		}
		if c.Kind != "changed" || len(c.Details) > 0 {
			r.Changes = append(r.Changes, c)
		}
	}
	r.Same = len(r.Changes) == 0
	return r
}

// releaseKey names a release in a feed.
type releaseKey struct {
	tuf.IndexName
	version string
}

func releasesOf(v *view) map[releaseKey]release.Release {
	m := make(map[releaseKey]release.Release)
	for _, ix := range v.indexes {
		for _, r := range ix.Releases {
			m[releaseKey{tuf.IndexName{Channel: ix.Channel, Platform: ix.Platform}, r.Version.String()}] = r
		}
	}
	return m
}

func keysOfBoth(a, b map[releaseKey]release.Release) func(yield func(releaseKey) bool) {
	return func(yield func(releaseKey) bool) {
		for k := range a {
			if !yield(k) {
				return
			}
		}
		for k := range b {
			if _, both := a[k]; !both && !yield(k) {
				return
			}
		}
	}
}

func compareKeys(a, b releaseKey) int {
	if c := strings.Compare(a.Channel, b.Channel); c != 0 {
		return c
	}
	if c := release.MustParseVersion(b.version).Compare(release.MustParseVersion(a.version)); c != 0 {
		return c
	}
	return strings.Compare(a.Platform.String(), b.Platform.String())
}

// changesOf names what is different in two entries of one version.
func changesOf(o, n release.Release) []string {
	var d []string
	if o.Artifact.SHA256 != n.Artifact.SHA256 {
		d = append(d, fmt.Sprintf("another executable: sha256 %s, was %s", n.Artifact.SHA256.Short(), o.Artifact.SHA256.Short()))
	}
	if o.Artifact.Full != n.Artifact.Full {
		d = append(d, fmt.Sprintf("full payload %s, was %s", sizeText(n.Artifact.Full.Length), sizeText(o.Artifact.Full.Length)))
	}
	if !slices.Equal(o.Artifact.Deltas, n.Artifact.Deltas) {
		d = append(d, fmt.Sprintf("%d deltas, was %d", len(n.Artifact.Deltas), len(o.Artifact.Deltas)))
	}
	if o.Notes != n.Notes {
		d = append(d, "other notes")
	}
	if a, b := rolloutText(o.Rollout), rolloutText(n.Rollout); a != b {
		d = append(d, fmt.Sprintf("rollout: %s, was: %s", b, a))
	}
	state := func(r release.Release) string { return stateText(r.Critical, r.Minimum, r.Halted, r.Yanked) }
	if a, b := state(o), state(n); a != b {
		d = append(d, fmt.Sprintf("state: %s, was: %s", b, a))
	}
	if len(d) == 0 && !reflect.DeepEqual(o, n) {
		d = append(d, "dates or serials")
	}
	return d
}

func rolloutText(r *release.Rollout) string {
	if r == nil {
		return "everybody at once"
	}
	return curveText(r) + " (salt " + r.Salt + ")"
}

func (r *diffResult) text(w io.Writer) {
	if r.Same {
		fmt.Fprintf(w, "Both offer the same releases of %s.\n", r.App)
		return
	}
	mark := map[string]string{"added": "+", "removed": "-", "changed": "~"}
	for _, c := range r.Changes {
		fmt.Fprintf(w, "%s %s %s %s\n", mark[c.Kind], c.Channel, c.Version, c.Platform)
		for _, d := range c.Details {
			fmt.Fprintf(w, "    %s\n", printable(d))
		}
	}
}
