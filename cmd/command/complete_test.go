package command

import (
	"strings"
	"testing"

	"github.com/moult-go/moult/server"
)

// TestCompletion asks as the scripts of the shells do.
func TestCompletion(t *testing.T) {
	r := &running{t: t, state: stateDir(t)}
	r.run("abc")
	for line, want := range map[string]string{
		"rollback ":                     "0.9.0\t010000000000",
		"rollback 0.9.0 ":               "",
		"quarantine clear ":             "1.1.0\tcrashed 010000000000\t1.1.0",
		"status --instance ":            "abc",
		"upgrade --progress ":           "auto plain json none",
		"upgrade --progress=":           "auto plain json none",
		"config check ":                 "toml",
		"serve --config ":               "toml",
		"config s":                      "show\tShow every setting, and where its value comes from",
		"serve --drain-timeout ":        "",
		"rollback --instance unheard ":  "",
		"help conf":                     "config\tCheck the configuration, or show where each value comes from",
		"completion ":                   "bash\tGenerate the autocompletion script for bash fish\tGenerate the autocompletion script for fish powershell\tGenerate the autocompletion script for powershell zsh\tGenerate the autocompletion script for zsh",
		"status --state-dir nowhere --": "--config\tTOML `file` with values for the flags, by their names --help\thelp for status --instance\t`ID` of the running server, if there are several --json\tprint one JSON document",
	} {
		out, _, err := execute(server.Service{StateDir: r.state}, append([]string{"__complete"}, strings.Split(line, " ")...)...)
		words, _, _ := strings.Cut(out, ":")
		if got := strings.Join(strings.Split(strings.TrimSpace(words), "\n"), " "); got != want || err != nil {
			t.Errorf("%q: %q, want %q; %v", line, got, want, err)
		}
	}
}

// TestCompletionScripts: one for each shell, and it is the program's.
func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		out, _, err := execute(server.Service{}, "completion", shell)
		if err != nil || !strings.Contains(out, "hello __complete") && !strings.Contains(out, "__completeNoDesc") && !strings.Contains(out, "__complete ") {
			t.Errorf("%s: %d bytes, %v", shell, len(out), err)
		}
	}
}
