package reference

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Markdown is one page about root and all commands and topics below it. The words of about come first.
func Markdown(root *cobra.Command, about string) []byte {
	var b strings.Builder
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	fmt.Fprintf(&b, "# %s\n\n%s\n\n%s\n\n", root.Name(), about, longOf(root))
	contents(&b, root)
	for _, c := range Commands(root) {
		section(&b, c)
	}
	return []byte(b.String())
}

// Commands lists what can be typed below root, and its topics, depth first: all but cobra's own.
func Commands(root *cobra.Command) []*cobra.Command {
	var all []*cobra.Command
	for _, c := range root.Commands() {
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		all = append(all, c)
		all = append(all, Commands(c)...)
	}
	return all
}

// contents lists the commands in their groups, and the topics after them.
func contents(b *strings.Builder, root *cobra.Command) {
	for _, g := range append(root.Groups(), &cobra.Group{Title: "Topics:"}) {
		list := slices.DeleteFunc(Commands(root), func(c *cobra.Command) bool { return topOf(c, root).GroupID != g.ID })
		if len(list) == 0 {
			continue
		}
		fmt.Fprintf(b, "%s\n\n", g.Title)
		for _, c := range list {
			fmt.Fprintf(b, "- [%s](#%s): %s\n", pathOf(c), strings.ReplaceAll(pathOf(c), " ", "-"), c.Short)
		}
		fmt.Fprintln(b)
	}
}

// topOf is the command directly below root that c belongs to.
func topOf(c, root *cobra.Command) *cobra.Command {
	for c.Parent() != root {
		c = c.Parent()
	}
	return c
}

// pathOf is what one types for c.
func pathOf(c *cobra.Command) string {
	if c.IsAdditionalHelpTopicCommand() {
		return c.Parent().CommandPath() + " help " + c.Name()
	}
	return c.CommandPath()
}

func longOf(c *cobra.Command) string {
	if c.Long == "" {
		return c.Short + "."
	}
	return strings.TrimSpace(c.Long)
}

func section(b *strings.Builder, c *cobra.Command) {
	fmt.Fprintf(b, "## %s\n\n", pathOf(c))
	if c.IsAdditionalHelpTopicCommand() {
		fmt.Fprintf(b, "%s.\n\n%s\n", c.Short, indented(longOf(c)))
		return
	}
	fmt.Fprintf(b, "%s\n\n", longOf(c))
	if c.Runnable() {
		fmt.Fprintf(b, "    %s\n\n", c.UseLine())
	}
	if c.Example != "" {
		fmt.Fprintf(b, "Examples:\n\n%s\n", indented(unindented(c.Example)))
	}
	if flags := strings.TrimRight(c.LocalFlags().FlagUsages(), "\n"); flags != "" {
		fmt.Fprintf(b, "Flags:\n\n")
		for line := range strings.Lines(flags + "\n") {
			fmt.Fprintf(b, "  %s", line)
		}
		fmt.Fprintln(b)
	}
}

// indented makes a block of text that stays as it is.
func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text + "\n") {
		if strings.TrimSpace(line) != "" {
			b.WriteString("    ")
		}
		b.WriteString(line)
	}
	return b.String()
}

func unindented(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.Join(lines, "\n")
}
