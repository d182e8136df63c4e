package main

import (
	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release/tuf"
)

// payloadFlags say in which files an executable is published.
type payloadFlags struct{ compress bool }

func (p *payloadFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&p.compress, "compress", true, "store executables as zstd, where that makes them smaller")
}

func (p *payloadFlags) apply(q *tuf.PublishRequest) { q.Uncompressed = !p.compress }
