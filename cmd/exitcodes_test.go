//go:build unix

package cmd_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	commands "github.com/moult-go/moult/cmd/command"
	"github.com/moult-go/moult/server"
)

// TestExitCodesHaveStories: each code that help lists is the end of a command in some story.
func TestExitCodesHaveStories(t *testing.T) {
	topic, _, err := commands.Root(server.Service{Name: "app"}).Find([]string{"exit-codes"})
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`(?m)^ +(\d+)  \S`).FindAllStringSubmatch(topic.Long, -1)
	if len(codes) != 11 {
		t.Errorf("help lists %d codes", len(codes))
	}
	stories, err := filepath.Glob("../testdata/script/*.txtar")
	if err != nil || len(stories) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	var all strings.Builder
	for _, name := range stories {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	for _, c := range codes {
		if !regexp.MustCompile(`(?m)^(exits ` + c[1] + ` |grep '\^code ` + c[1] + `\$')`).MatchString(all.String()) {
			t.Errorf("no story ends with %s", c[1])
		}
	}
}
