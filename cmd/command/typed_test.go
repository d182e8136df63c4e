package command

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/moult-go/moult/cmd/reference"
	"github.com/moult-go/moult/server"
	"github.com/moult-go/moult/server/admin"
)

// told runs a command line to its end, as Main does.
func told(s server.Service, args ...string) (code int, out, errs string) {
	s.Name, s.Version = "hello", "1.0.0"
	root := Root(s)
	var o, e bytes.Buffer
	root.SetArgs(args)
	root.SetOut(&o)
	root.SetErr(&e)
	root.SetIn(strings.NewReader(""))
	code = conclude(root, args, root.Execute())
	return code, o.String(), e.String()
}

// TestMistyped: what is wrong, what was meant, and what to type for help.
func TestMistyped(t *testing.T) {
	for line, want := range map[string]string{
		"stauts":                   "hello: unknown command \"stauts\" for \"hello\"; did you mean status?\nto see what it takes: hello help\n",
		"frobnicate":               "hello: unknown command \"frobnicate\" for \"hello\"\nto see what it takes: hello help\n",
		"config chek":              "hello: unknown command \"chek\" for \"hello config\"; did you mean check?\nto see what it takes: hello config --help\n",
		"status --jsno":            "hello: unknown flag: --jsno; did you mean --json?\nto see what it takes: hello status --help\n",
		"status -x":                "hello: unknown shorthand flag: 'x' in -x\nto see what it takes: hello status --help\n",
		"status one":               "hello: unexpected argument \"one\"\nto see what it takes: hello status --help\n",
		"serve --interval soon":    "hello: --interval \"soon\": want a duration such as \"30s\" or \"1h30m\"\nto see what it takes: hello serve --help\n",
		"serve --keep":             "hello: flag needs an argument: --keep\nto see what it takes: hello serve --help\n",
		"upgrade":                  "hello: needs --yes, no terminal to ask on\nto see what it takes: hello upgrade --help\n",
		"upgrade --progress=fancy": "hello: --progress \"fancy\": want auto, plain, json or none\nto see what it takes: hello upgrade --help\n",
		"quarantine clear --al":    "hello: unknown flag: --al; did you mean --all?\nto see what it takes: hello quarantine clear --help\n",
	} {
		code, out, errs := told(server.Service{StateDir: stateDir(t)}, strings.Fields(line)...)
		if code != 2 || errs != want || out != "" {
			t.Errorf("%s: %d\n got %q\nwant %q\n%s", line, code, errs, want, out)
		}
	}
}

// TestJSONMistakes: a mistake in what was typed is a document as well, and one alone.
func TestJSONMistakes(t *testing.T) {
	for _, line := range []string{"stauts --json", "status --json --bogus", "status --bogus --json", "status one --json", "upgrade --json", "config chek --json",
		"upgrade --yes --json --progress=json", "config check /nowhere --json", "status --json"} {
		code, out, _ := told(server.Service{StateDir: stateDir(t)}, strings.Fields(line)...)
		var doc map[string]any
		d := json.NewDecoder(strings.NewReader(out))
		if err := d.Decode(&doc); err != nil || d.More() || doc["schema"] != 1.0 || code == 0 {
			t.Errorf("%s: %d, %v, %s", line, code, err, out)
		}
	}
}

// TestProgressLines: --progress=json is the stream of the admin API: events, and the outcome last, whatever it is.
func TestProgressLines(t *testing.T) {
	for _, tt := range []struct {
		check  admin.Check
		args   string
		code   int
		events int
	}{
		{available, "upgrade --yes --progress=json", 0, 4},
		{admin.Check{Current: "1.0.0", Version: "1.0.0"}, "upgrade --yes --progress=json", 0, 0},
		{admin.Check{Current: "1.0.0"}, "upgrade --yes --progress=json", 75, 0},
		{available, "rollback --yes --progress=json", 0, 4},
		{available, "rollback --progress=json", 2, 0},
	} {
		r := &running{t: t, state: stateDir(t), check: tt.check}
		r.run("abc")
		code, out, _ := told(server.Service{StateDir: r.state}, strings.Fields(tt.args)...)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		for i, text := range lines {
			var l admin.Line
			if err := json.Unmarshal([]byte(text), &l); err != nil || (l.Event == nil) != (i == len(lines)-1) {
				t.Errorf("%s: line %d: %s, %v", tt.args, i, text, err)
			}
			if last := i == len(lines)-1; last && (l.Error == nil) != (tt.code == 0) || last && (l.Result == nil) != (tt.code != 0) {
				t.Errorf("%s ends with %s", tt.args, text)
			}
		}
		if code != tt.code || len(lines) != tt.events+1 {
			t.Errorf("%s: %d, %d lines: %s", tt.args, code, len(lines), out)
		}
	}
}

// TestQuiet: --progress=none and plain.
func TestQuiet(t *testing.T) {
	for mode, want := range map[string]bool{"none": false, "plain": true} {
		r := &running{t: t, state: stateDir(t), check: available}
		r.run("abc")
		code, out, errs := told(server.Service{StateDir: r.state}, "upgrade", "--yes", "--progress", mode)
		if code != 0 || strings.Contains(errs, "fetch 1.1.0") != want || !strings.Contains(out, "and serving") {
			t.Errorf("%s: %d, %q, %q", mode, code, out, errs)
		}
	}
}

// TestEveryCommandExplainsItself: a short line, words on what it does and when to use it, and something to type.
func TestEveryCommandExplainsItself(t *testing.T) {
	for _, c := range reference.Commands(Root(server.Service{Name: "hello"})) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short line %q", c.CommandPath(), c.Short)
		}
		if topic := c.IsAdditionalHelpTopicCommand(); len(c.Long) < 80 || c.Example == "" && !topic {
			t.Errorf("%s: %d bytes of help, example %q", c.CommandPath(), len(c.Long), c.Example)
		}
	}
}

// TestNotRestarted: a server that cannot hand over has replaced its executable, and serves on.
func TestNotRestarted(t *testing.T) {
	r := &running{t: t, state: stateDir(t), check: available, stays: true}
	r.run("abc")
	code, out, errs := told(server.Service{StateDir: r.state}, "upgrade", "--yes", "--progress=none")
	if want := "hello 1.0.0 is serving; restart the server yourself: kill -HUP its process\n"; code != 8 || out != "" || !strings.HasSuffix(errs, want) {
		t.Errorf("%d, %q, %q", code, out, errs)
	}
}
