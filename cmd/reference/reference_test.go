package reference_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/cmd/reference"
)

// tool is a command line with a bit of everything.
func tool() *cobra.Command {
	run := func(*cobra.Command, []string) {}
	root := &cobra.Command{Use: "tool", Short: "Does things", Long: "Does many things."}
	root.AddGroup(&cobra.Group{ID: "g", Title: "Work:"})
	cut := &cobra.Command{Use: "cut FILE", Short: "Cut a file", GroupID: "g", Example: "  tool cut a\n  tool cut b", Run: run}
	cut.Flags().Int("parts", 2, "how many")
	cut.AddCommand(&cobra.Command{Use: "fine", Short: "Cut finely", Run: run})
	root.AddCommand(cut, &cobra.Command{Use: "secret", Hidden: true, Run: run}, &cobra.Command{Use: "words", Short: "What they mean", Long: "a  one\nb  two"})
	return root
}

func ExampleMarkdown() {
	fmt.Print(string(reference.Markdown(tool(), "A tool, command by command.")))
	// Output:
	// # tool
	//
	// A tool, command by command.
	//
	// Does many things.
	//
	// Work:
	//
	// - [tool cut](#tool-cut): Cut a file
	// - [tool cut fine](#tool-cut-fine): Cut finely
	//
	// Topics:
	//
	// - [tool help words](#tool-help-words): What they mean
	//
	// ## tool cut
	//
	// Cut a file.
	//
	//     tool cut FILE [flags]
	//
	// Examples:
	//
	//     tool cut a
	//     tool cut b
	//
	// Flags:
	//
	//         --parts int   how many (default 2)
	//
	// ## tool cut fine
	//
	// Cut finely.
	//
	//     tool cut fine
	//
	// ## tool help words
	//
	// What they mean.
	//
	//     a  one
	//     b  two
}

func TestMan(t *testing.T) {
	pages, err := reference.Man(tool(), time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	if err != nil || len(pages) != 3 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	page := string(pages["tool-cut.1"])
	for _, want := range []string{"Nov 2026", "tool-cut - Cut a file", "--parts", "tool cut b", "tool-cut-fine(1)"} {
		if !strings.Contains(strings.ReplaceAll(page, `\-`, "-"), want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
}

func TestKeep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man")
	pages := map[string][]byte{"a.1": []byte("a"), "b.1": []byte("b")}
	keep := func(update bool, want ...string) {
		t.Helper()
		if stale, err := reference.Keep(dir, pages, update); err != nil || !slices.Equal(stale, want) {
			t.Errorf("stale %v, %v; want %v", stale, err, want)
		}
	}
	keep(false, "a.1", "b.1")
	keep(true)
	keep(false)
	os.WriteFile(filepath.Join(dir, "other.1"), []byte("of another kind"), 0o644)
	os.WriteFile(filepath.Join(dir, "a-gone.1"), []byte("of a command that is no more"), 0o644)
	pages["b.1"] = []byte("B")
	keep(false, "a-gone.1", "b.1")
	keep(true)
	keep(false)
	if _, err := os.Stat(filepath.Join(dir, "other.1")); err != nil {
		t.Error(err)
	}
}
