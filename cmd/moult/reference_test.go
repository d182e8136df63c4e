package main

import (
	"flag"
	"strings"
	"testing"

	"github.com/moult-go/moult/cmd/reference"
)

var update = flag.Bool("update", false, "write the generated pages anew")

//go:generate go test -run ^TestReference$ -update .

// TestReference keeps docs/reference/moult.md what `moult help` says.
func TestReference(t *testing.T) {
	page := reference.Markdown(newRoot(), "The publisher's tool, command by command. This page is generated from the program's own help. Every command takes --json and\nthen prints one document.")
	if stale, err := reference.Keep("../../docs/reference", map[string][]byte{"moult.md": page}, *update); err != nil || len(stale) > 0 {
		t.Errorf("%v; stale: %v; go generate ./cmd/...", err, stale)
	}
}

// TestEveryCommandExplainsItself: a line of its own, words on when to use it, and an example.
func TestEveryCommandExplainsItself(t *testing.T) {
	for _, c := range reference.Commands(newRoot()) {
		if c.HasSubCommands() && c.Example == "" {
			continue
		}
		if c.Short == "" || len(c.Long) < 80 || c.Example == "" {
			t.Errorf("%s: short %q, %d bytes of help, example %q", c.CommandPath(), c.Short, len(c.Long), c.Example)
		}
		if strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: its short line ends with a full stop", c.CommandPath())
		}
	}
}
