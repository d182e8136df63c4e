package main

import (
	"flag"
	"testing"
	"time"

	"github.com/moult-go/moult/cmd/command"
	"github.com/moult-go/moult/cmd/reference"
)

var update = flag.Bool("update", false, "write the generated pages anew")

// edition is the date in the man pages: that of the last thorough change of their words.
var edition = time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)

//go:generate go test -run ^TestReference$ -update .

// TestReference keeps docs/reference what help says.
func TestReference(t *testing.T) {
	root := command.Root(service(new(app)))
	page := reference.Markdown(root, "The reference server, command by command. Any program that embeds package cmd/command has the same commands, under its own name. This page is generated from the\nprogram's own help, and so are the man pages beside it.")
	man, err := reference.Man(root, edition)
	if err != nil {
		t.Fatal(err)
	}
	for dir, pages := range map[string]map[string][]byte{"../../docs/reference": {"app.md": page}, "../../docs/reference/man": man} {
		if stale, err := reference.Keep(dir, pages, *update); err != nil || len(stale) > 0 {
			t.Errorf("%s: %v; stale: %v; go generate ./cmd/...", dir, err, stale)
		}
	}
}
