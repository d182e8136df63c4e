package main

import (
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

func (p *payloadFlags) apply(q *tuf.PublishRequest) {
	q.Uncompressed, q.Deltas = !p.compress, p.count()
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
