package grace

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestMessageKindsAreDocumented: docs/reference/protocol.md has a row for each kind of message, and for no other.
func TestMessageKindsAreDocumented(t *testing.T) {
	var code []string
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range sources {
		if !strings.HasSuffix(name, "_test.go") {
			code = append(code, find(t, name, `(?m)^\tmsg\w+ += "([A-Z]+)"`)...)
		}
	}
	page := find(t, filepath.Join("..", "docs", "reference", "protocol.md"), "(?m)^\\| `([A-Z]+)` \\|")
	slices.Sort(code)
	slices.Sort(page)
	if len(code) == 0 || !slices.Equal(code, page) {
		t.Errorf("kinds in the code: %v\nin docs/reference/protocol.md: %v", code, page)
	}
}

// find returns what the group of the pattern matches in a file.
func find(t *testing.T, name, pattern string) (found []string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(b), -1) {
		found = append(found, m[1])
	}
	return found
}
