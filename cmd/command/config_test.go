package command

import (
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moult-go/moult/server"
	"github.com/moult-go/moult/server/admin"
)

// configured writes a file for hello.
func configured(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hello.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// hello has a flag of its own, and an opinion on it.
func hello(dir string) server.Service {
	greeting := ""
	return server.Service{StateDir: dir, Handler: http.NotFoundHandler(),
		Flags: func(fs *flag.FlagSet) { fs.StringVar(&greeting, "greeting", "hello", "what it says") },
		CheckFlags: func() error {
			if greeting == "" {
				return errors.New("greeting: want something to say")
			}
			return nil
		}}
}

func TestConfigCheck(t *testing.T) {
	for _, tt := range []struct {
		text, args string
		code       int
		wants      []string
	}{
		{"greeting = 'hi'\nlisten = ['localhost:0', 'unix:/x']", "", 0, []string{"hello: the configuration is good\n"}},
		{"greeting = 'hi'", "--listen :80 --keep 5", 0, []string{"good"}},
		{"greting = 'hi'\nkeep = 'x'", "", 2, []string{"hello.toml:1: greting: unknown key; did you mean greeting?", "hello.toml:2: keep: \"x\": want a whole number"}},
		{"listen = ['nowhere']\nwindow = ['25:00 1h']\ngreeting = ''\nroot = 'x'", "", 2,
			[]string{"nowhere", "hello.toml:2: window: ", "want something to say", "--feed and --root need each other"}},
		{"constraint = 'x y z'", "", 2, []string{"hello.toml:1: constraint: "}},
		{"feed = 'http://x'\nroot = '/nowhere'", "", 2, []string{"hello.toml:2: root: ", "/nowhere"}},
	} {
		file := configured(t, tt.text)
		out, _, err := execute(hello(""), append([]string{"config", "check", file}, strings.Fields(tt.args)...)...)
		all := out
		if err != nil {
			all += err.Error()
		}
		for _, want := range tt.wants {
			if !strings.Contains(all, want) {
				t.Errorf("%q: no %q in %s", tt.text, want, all)
			}
		}
		if got := ExitCode(err); got != tt.code {
			t.Errorf("%q: code %d, want %d", tt.text, got, tt.code)
		}
		out, _, err = execute(hello(""), append([]string{"config", "check", "--json", file}, strings.Fields(tt.args)...)...)
		var doc checkDocument
		if json.Unmarshal([]byte(out), &doc) != nil || doc.Good != (tt.code == 0) || doc.Good != (len(doc.Problems) == 0) || ExitCode(err) != tt.code {
			t.Errorf("%q: %s, %v", tt.text, out, err)
		}
	}
}

// TestServeConfigured: serve refuses what config check refuses, before it opens anything.
func TestServeConfigured(t *testing.T) {
	file := configured(t, "greting = 'hi'")
	_, _, err := execute(hello(stateDir(t)), "serve", "--config", file)
	if ExitCode(err) != 2 || !strings.Contains(err.Error(), "did you mean greeting?") {
		t.Errorf("%v", err)
	}
}

func TestConfigShow(t *testing.T) {
	file := configured(t, "keep = 5\ngreeting = 'hi'")
	t.Setenv("HELLO_KEEP_BYTES", "1000")
	out, _, err := execute(hello(""), "config", "show", file, "--probation", "2m")
	for _, want := range []string{"keep   5   " + file + ":1", "greeting   hi   " + file + ":2", "keep-bytes   1000   HELLO_KEEP_BYTES", "probation   2m0s   flag", "drain-timeout   1m0s   default"} {
		found := false
		for line := range strings.Lines(out) {
			found = found || strings.Join(strings.Fields(line), "   ") == want
		}
		if !found || err != nil {
			t.Errorf("no line %q in\n%s%v", want, out, err)
		}
	}
	out, _, err = execute(hello(""), "config", "show", "--json", "--config", file)
	var doc settingsDocument
	if json.Unmarshal([]byte(out), &doc) != nil || err != nil || len(doc.Settings) < 20 || doc.Schema != 1 {
		t.Errorf("%s, %v", out, err)
	}
	if _, _, err := execute(hello(""), "config", "show", configured(t, "x = 1")); ExitCode(err) != 2 {
		t.Errorf("a bad file is shown: %v", err)
	}
}

// TestConfigRunning: the settings of the process that serves, whatever the shell says.
func TestConfigRunning(t *testing.T) {
	r := &running{t: t, state: stateDir(t)}
	if _, _, err := execute(hello(r.state), "config", "show", "--running"); ExitCode(err) != 1 {
		t.Errorf("nothing runs: %v", err)
	}
	r.settings = []admin.Setting{{Name: "keep", Value: "9", Origin: "/etc/hello.toml:7"}}
	r.run("abc")
	t.Setenv("HELLO_KEEP", "5")
	out, _, err := execute(hello(r.state), "config", "show", "--running")
	if err != nil || out != "keep  9  /etc/hello.toml:7\n" {
		t.Errorf("%q, %v", out, err)
	}
}

// TestCommandsConfigured: status and the like find what serve was configured with.
func TestCommandsConfigured(t *testing.T) {
	r := &running{t: t, state: stateDir(t), check: available}
	r.run("abc")
	file := configured(t, "state-dir = '"+r.state+"'\nwatch = 'drop'\nminisign-key = '/nowhere'\nfrom-the-future = 1")
	out, errs, err := execute(hello(""), "check", "--config", file)
	if ExitCode(err) != 100 || strings.Contains(errs, "the running server looks") {
		t.Errorf("%q, %q, %v", out, errs, err)
	}
	t.Setenv("HELLO_CONFIG", file)
	if _, _, err := execute(hello(""), "status"); err != nil {
		t.Error(err)
	}
	if _, _, err := execute(hello(""), "upgrade", "--yes", "--file", "x"); err != nil {
		t.Errorf("a key that is configured is not one that was typed: %v", err)
	}
	t.Setenv("HELLO_STATE_DIR", stateDir(t))
	if _, _, err := execute(hello(""), "status"); ExitCode(err) != 1 {
		t.Errorf("the variable does not go before the file: %v", err)
	}
}
