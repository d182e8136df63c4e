package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAboutToServe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hello.toml")
	if err := os.WriteFile(file, []byte("from-the-future = 1\nkeep = 'many'\nstate-dir = '/z'"), 0o600); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"":                                       "no",
		"status":                                 "no",
		"status --state-dir serve":               "no",
		"serve":                                  "",
		"serve --help":                           "no",
		"serve --no-such-flag":                   "",
		"serve --state-dir /x --listen :1":       "/x",
		"serve --state-dir=/y":                   "/y",
		"serve --state-dir":                      "",
		"serve --from-the-future --state-dir /x": "/x",
		"serve --config " + file:                 "/z",
		"serve --config /nowhere":                "",
		"serve --config " + file + " --state-dir=/y --now": "/y",
	} {
		dir, serves := aboutToServe("hello", strings.Fields(line))
		if got := dir; serves && got != want || serves == (want == "no") {
			t.Errorf("%q: %q, %v; want %q", line, dir, serves, want)
		}
	}
	t.Setenv("HELLO_STATE_DIR", "/v")
	if dir, _ := aboutToServe("hello", []string{"serve"}); dir != "/v" {
		t.Errorf("the variable gives %q", dir)
	}
}
