package cmd_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestTraps: docs/explanation/traps.md has an entry for each trap, in order, and every test that it names exists.
func TestTraps(t *testing.T) {
	page, err := os.ReadFile("../docs/explanation/traps.md")
	if err != nil {
		t.Fatal(err)
	}
	entries := regexp.MustCompile(`(?m)^(\d+)\. \*\*`).FindAllStringSubmatch(string(page), -1)
	for i, e := range entries {
		if e[1] != strconv.Itoa(i+1) {
			t.Errorf("entry %s stands in place %d", e[1], i+1)
		}
	}
	if len(entries) < 51 {
		t.Errorf("%d entries", len(entries))
	}
	have := tests(t)
	for _, name := range regexp.MustCompile(`\bTest[A-Z]\w*`).FindAllString(string(page), -1) {
		if !have[name] {
			t.Errorf("there is no %s", name)
		}
	}
}

// tests are the names of all tests of this module.
func tests(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	decl := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range decl.FindAllStringSubmatch(string(b), -1) {
			names[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
