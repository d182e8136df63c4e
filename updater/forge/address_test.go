package forge

import (
	"strings"
	"testing"
)

func TestAPIAddresses(t *testing.T) {
	for repository, want := range map[string]string{
		"o/hello":                           "https://api.github.com/repos/o/hello/releases?per_page=30",
		"https://github.com/o/hello.git":    "https://api.github.com/repos/o/hello/releases?per_page=30",
		"https://github.example.com/o/x.y/": "https://github.example.com/api/v3/repos/o/x.y/releases?per_page=30",
	} {
		if got := GitHub(repository, Options{}).(*Source).forge.list(); got != want {
			t.Errorf("%s: %s", repository, got)
		}
	}
	if got := Gitea("https://x.org/git/o/hello", Options{}).(*Source).forge.list(); got != "https://x.org/git/api/v1/repos/o/hello/releases?draft=false&limit=30" {
		t.Error(got)
	}
	if got := GitLab("https://gitlab.com/g/sub/hello", Options{}).(*Source).forge.list(); !strings.HasPrefix(got, "https://gitlab.com/api/v4/projects/g%2Fsub%2Fhello/releases?") {
		t.Error(got)
	}
}
