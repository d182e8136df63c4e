package cmd_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPages: every test and story that the README or a page of docs names exists.
func TestPages(t *testing.T) {
	have := tests(t)
	named := 0
	for _, page := range pages(t) {
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

// TestLinks: what a page links to exists, and so does every page that code, a help text or another page names; the index has all pages.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	index, err := os.ReadFile("../docs/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages(t) {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: no %s", page, m[1])
			}
		}
		if in := strings.TrimPrefix(page, "../docs/"); in != page && strings.Contains(in, "/") && !strings.Contains(string(index), "]("+in+")") {
			t.Errorf("docs/README.md does not list %s", in)
		}
	}
	files, err := exec.Command("git", "-C", "..", "ls-files").Output()
	if err != nil {
		t.Skip("no git to list the files of this module:", err)
	}
	for file := range strings.Lines(string(files)) {
		b, err := os.ReadFile(filepath.Join("..", strings.TrimSpace(file)))
		if err != nil {
			continue // deleted, or a link
		}
		for _, page := range regexp.MustCompile(`\bdocs/[a-z/-]+\.(md|svg)\b`).FindAllString(string(b), -1) {
			if _, err := os.Stat(filepath.Join("..", page)); err != nil {
				t.Errorf("%s names %s, which is not there", strings.TrimSpace(file), page)
			}
		}
	}
}

// pages are the README and all pages of docs.
func pages(t *testing.T) []string {
	t.Helper()
	found := []string{"../README.md"}
	err := filepath.WalkDir("../docs", func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".md" {
			found = append(found, path)
		}
		return err
	})
	if err != nil || len(found) < 10 {
		t.Fatalf("pages %v, %v", found, err)
	}
	return found
}
