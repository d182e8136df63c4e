package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
)

// publishResult is what publish did, or would do.
type publishResult struct {
	Schema  int             `json:"schema"`
	App     string          `json:"app"`
	Version release.Version `json:"version"`
	Channel string          `json:"channel"`
	DryRun  bool            `json:"dry_run,omitempty"`
	Files   []publishedFile `json:"files"`
	Checks  []verdict       `json:"checks"`
	Notes   []string        `json:"notes,omitempty"`
	Next    []string        `json:"next,omitempty"` // command lines

	names map[release.Digest]string // the versions that deltas start from
}

type publishedFile struct {
	Source   string           `json:"source"`
	Platform release.Platform `json:"platform"`
	Module   string           `json:"module,omitempty"`
	Length   int64            `json:"length"`
	SHA256   release.Digest   `json:"sha256"`
	Path     string           `json:"path,omitempty"` // of the full payload; not of a dry run
	Payload  int64            `json:"payload_length,omitempty"`
	Format   release.Format   `json:"payload_format,omitempty"`
	Deltas   []release.Delta  `json:"deltas,omitempty"`
}

func newPublishResult(in *inspection, verdicts []verdict, notes []string) *publishResult {
	r := &publishResult{Schema: schema, App: in.app, Version: in.version, Channel: in.channel, Checks: verdicts, Notes: notes}
	for _, s := range in.subjects {
		r.Files = append(r.Files, publishedFile{Source: s.origin, Platform: s.platform, Module: s.module, Length: s.length, SHA256: s.digest})
	}
	return r
}

// take adds what publishing made of the files.
func (r *publishResult) take(released []release.Release) {
	for i, rel := range released {
		f, a := &r.Files[i], rel.Artifact
		f.Path, f.Payload, f.Format, f.Deltas = a.Full.Path, a.Full.Length, a.Full.Format, a.Deltas
	}
}

func (r *publishResult) text(w io.Writer) {
	if r.DryRun {
		fmt.Fprintf(w, "%s %s can be published in %s; nothing was written.\n\n", r.App, r.Version, r.Channel)
	} else {
		fmt.Fprintf(w, "%s %s is in %s.\n\n", r.App, r.Version, r.Channel)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PLATFORM\tSIZE\tDOWNLOAD\tSHA256\tCHECKS")
	for _, f := range r.Files {
		download := "-"
		if f.Payload > 0 {
			download = sizeText(f.Payload)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", f.Platform, sizeText(f.Length), download, f.SHA256.Short(), r.checksOf(f.Source))
	}
	t.Flush()
	for _, f := range r.Files {
		for _, d := range f.Deltas {
			fmt.Fprintf(w, "%s: delta from %s, %s, %s of the download\n", f.Platform, r.names[d.From], sizeText(d.Length), percent(float64(d.Length)/float64(f.Payload)))
		}
	}
	fmt.Fprint(w, "\nNext:\n\n")
	for _, line := range r.Next {
		fmt.Fprintf(w, "    %s\n", line)
	}
}

// checksOf counts how the checks of a file ended: "7 passed, 1 warning: dwarf".
func (r *publishResult) checksOf(file string) string {
	var parts []string
	for _, o := range []outcome{passed, warned, notMade, skipped} {
		var names []string
		for _, f := range r.Checks {
			if f.Outcome == o && (f.File == file || f.File == "") {
				names = append(names, f.Check)
			}
		}
		switch {
		case len(names) == 0:
		case o == passed:
			parts = append(parts, fmt.Sprintf("%d passed", len(names)))
		default:
			parts = append(parts, fmt.Sprintf("%s: %s", o, strings.Join(slices.Compact(names), " ")))
		}
	}
	return strings.Join(parts, ", ")
}

// nextSteps are the command lines that come after a publication.
func nextSteps(dir string, repo *tuf.Repository, r *publishResult) []string {
	if r.DryRun {
		return []string{"the same command without --dry-run"}
	}
	steps := []string{fmt.Sprintf("moult verify %s --root %s", shellWord(dir), shellWord(repo.RootFile())), fmt.Sprintf("moult sync %s DESTINATION", shellWord(dir))}
	if r.Channel != "stable" && slices.Contains(repo.Channels(), "stable") {
		from := ""
		if r.Channel != "beta" {
			from = " --from " + r.Channel
		}
		steps = append(steps, fmt.Sprintf("moult promote %s %s%s", shellWord(dir), r.Version, from))
	}
	return steps
}

// shellWord is a path as a shell wants it.
func shellWord(path string) string {
	if !strings.ContainsAny(path, " \t'\"$&;|<>()*?[]#~`\\") {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
