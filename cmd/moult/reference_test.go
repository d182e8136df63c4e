package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write the generated pages anew")

// TestReference keeps docs/reference/moult.md what `moult help` says: go test ./cmd/moult -run TestReference -update writes it.
func TestReference(t *testing.T) {
	var b strings.Builder
	root := newRoot()
	root.InitDefaultCompletionCmd()
	fmt.Fprintf(&b, "# moult\n\nThe publisher's tool, command by command. This page is generated from the program's own help. Every command takes --json and\nthen prints one document.\n\n%s\n\n%s", root.Long, contents(root))
	for _, c := range commands(root) {
		reference(&b, c)
	}
	page := filepath.Join("..", "..", "docs", "reference", "moult.md")
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(old) != b.String() {
		t.Errorf("%s is stale: go test ./cmd/moult -run TestReference -update", page)
	}
}

// commands lists what can be typed, depth first, without cobra's own.
func commands(c *cobra.Command) []*cobra.Command {
	var all []*cobra.Command
	for _, sub := range c.Commands() {
		if sub.Name() == "completion" || sub.Name() == "help" || sub.Hidden {
			continue
		}
		all = append(all, sub)
		all = append(all, commands(sub)...)
	}
	return all
}

// contents lists the commands in their groups.
func contents(root *cobra.Command) string {
	var b strings.Builder
	for _, g := range root.Groups() {
		fmt.Fprintf(&b, "%s\n\n", g.Title)
		for _, c := range commands(root) {
			if top := topOf(c, root); top.GroupID == g.ID {
				fmt.Fprintf(&b, "- [%s](#%s): %s\n", c.CommandPath(), strings.ReplaceAll(c.CommandPath(), " ", "-"), c.Short)
			}
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

// topOf is the command directly below root that c belongs to.
func topOf(c, root *cobra.Command) *cobra.Command {
	for c.Parent() != root {
		c = c.Parent()
	}
	return c
}

func reference(b *strings.Builder, c *cobra.Command) {
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	fmt.Fprintf(b, "## %s\n\n%s\n\n", c.CommandPath(), strings.TrimSpace(text))
	if c.Runnable() {
		fmt.Fprintf(b, "    %s\n\n", c.UseLine())
	}
	if c.Example != "" {
		fmt.Fprintf(b, "Examples:\n\n")
		for line := range strings.Lines(c.Example) {
			fmt.Fprintf(b, "    %s\n", strings.TrimSpace(line))
		}
		fmt.Fprintln(b)
	}
	if flags := strings.TrimRight(c.LocalFlags().FlagUsages(), "\n"); flags != "" {
		fmt.Fprintf(b, "Flags:\n\n")
		for line := range strings.Lines(flags + "\n") {
			fmt.Fprintf(b, "  %s", line)
		}
		fmt.Fprintln(b)
	}
}

// TestEveryCommandExplainsItself: a line of its own, words on when to use it, and an example.
func TestEveryCommandExplainsItself(t *testing.T) {
	for _, c := range commands(newRoot()) {
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
