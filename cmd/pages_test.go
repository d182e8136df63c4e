package cmd_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPages: every test and story that the README or a page of docs names exists.
func TestPages(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil || len(pages) < 10 {
		t.Fatalf("pages %v, %v", pages, err)
	}
	have := tests(t)
	named := 0
	for _, page := range append(pages, "../README.md") {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`\bTest[A-Z]\w*`).FindAllString(string(b), -1) {
			if named++; !have[name] {
				t.Errorf("%s: there is no %s", page, name)
			}
		}
		for _, m := range regexp.MustCompile("(?:story|stories) ((?:`[a-z_]+`(?:, | and )?)+)").FindAllStringSubmatch(string(b), -1) {
			for story := range strings.SplitSeq(m[1], "`") {
				if story = strings.Trim(story, ", "); story == "" || story == "and" {
					continue
				}
				if _, err := os.Stat(filepath.Join("../testdata/script", story+".txtar")); err != nil {
					t.Errorf("%s: there is no story %s", page, story)
				}
			}
		}
	}
	if named < 100 {
		t.Errorf("only %d tests are named", named)
	}
}
