package command

import (
	"strings"
	"testing"
)

func TestAboutToServe(t *testing.T) {
	for line, want := range map[string]string{
		"":                                 "no",
		"status":                           "no",
		"status --state-dir serve":         "no",
		"serve":                            "",
		"serve --help":                     "no",
		"serve --no-such-flag":             "",
		"serve --state-dir /x --listen :1": "/x",
		"serve --state-dir=/y":             "/y",
		"serve --state-dir":                "",
	} {
		dir, serves := aboutToServe(strings.Fields(line))
		if got := dir; serves && got != want || serves == (want == "no") {
			t.Errorf("%q: %q, %v; want %q", line, dir, serves, want)
		}
	}
}
