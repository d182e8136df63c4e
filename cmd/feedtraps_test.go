package cmd_test

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

// TestFeedTraps: docs/explanation/feed.md has an entry for each trap, in order, with a test, and every test that it names exists.
func TestFeedTraps(t *testing.T) {
	page, err := os.ReadFile("../docs/explanation/feed.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (\d+) \|.*\|.*\bTest[A-Z]\w*.*\|$`).FindAllStringSubmatch(string(page), -1)
	for i, r := range rows {
		if r[1] != strconv.Itoa(i+1) {
			t.Errorf("row %s stands in place %d", r[1], i+1)
		}
	}
	if len(rows) < 20 {
		t.Errorf("%d rows with a test", len(rows))
	}
	have := tests(t)
	for _, name := range regexp.MustCompile(`\bTest[A-Z]\w*`).FindAllString(string(page), -1) {
		if !have[name] {
			t.Errorf("there is no %s", name)
		}
	}
}
