package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
)

// payloadFlags say in which files an executable is published.
type payloadFlags struct {
	compress bool
	deltas   int
}

func (p *payloadFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&p.compress, "compress", true, "store executables as zstd, where that makes them smaller")
	p.addDeltas(cmd)
}

// addDeltas is for commands that store no executable.
func (p *payloadFlags) addDeltas(cmd *cobra.Command) {
	cmd.Flags().IntVar(&p.deltas, "deltas", tuf.DefaultDeltas,
		"`number` of the channel's last releases that get a delta to this one, beside the newest of an earlier minor version; 0 for none")
}

func (p *payloadFlags) apply(cmd *cobra.Command, q *tuf.PublishRequest) {
	q.Uncompressed, q.Deltas, q.Progress = !p.compress, p.count(), noteDeltas(cmd)
}

// count is the number as a request has it, where 0 is the default.
func (p *payloadFlags) count() int {
	if p.deltas <= 0 {
		return -1
	}
	return p.deltas
}

// noteDeltas tells of deltas that were not made.
func noteDeltas(cmd *cobra.Command) func(tuf.Progress) {
	return func(p tuf.Progress) {
		if p.Note != "" {
			warn(cmd, "no delta for %s: %s", p.File, p.Note)
		}
	}
}

// payloadText says what a host downloads to get an artifact, one line each. names has the versions that deltas start from.
func payloadText(w io.Writer, a release.Artifact, names map[release.Digest]string) {
	how := "as it is"
	if a.Full.Format != release.Raw {
		how = fmt.Sprintf("%s, %s", a.Full.Format, share(a.Full.Length, a.Length))
	}
	fmt.Fprintf(w, "    full  %11d bytes  %s of %d\n", a.Full.Length, how, a.Length)
	for _, d := range a.Deltas {
		from := names[d.From]
		if from == "" {
			from = "sha256 " + d.From.Short()
		}
		fmt.Fprintf(w, "    delta %11d bytes  from %s, %s of full\n", d.Length, from, share(d.Length, a.Full.Length))
	}
}

func share(part, whole int64) string { return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole)) }

// versionNames says which version each executable of a feed is.
func versionNames(indexes []*release.Index) map[release.Digest]string {
	names := make(map[release.Digest]string)
	for _, ix := range indexes {
		for _, r := range ix.Releases {
			names[r.Artifact.SHA256] = r.Version.String()
		}
	}
	return names
}
