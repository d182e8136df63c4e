package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/server"
	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
	"github.com/moult-go/moult/updater/owner"
)

// running is a server that answers as a test tells it, and can be found.
type running struct {
	admin.Backend // whatever else there is: not asked for
	t             *testing.T
	state         string // directory
	check         admin.Check
	err           error // of every attempt
	asked         []admin.Request

	stays    bool // cannot hand over
	hold     *updater.Hold
	cleared  []string
	settings []admin.Setting
}

func (r *running) Status() admin.Status {
	return admin.Status{Schema: 1, App: "hello", Version: "1.0.0", State: "serving", Generation: 3, PID: 7, Since: time.Now(),
		Listen: []string{"127.0.0.1:1"}, Draining: []admin.Draining{{Generation: 2, PID: 6, Since: time.Now().Add(-time.Minute), Connections: 4}},
		RestartError: "crashed\x1b[2J", Settings: r.settings,
		Updater: &updater.Status{Hold: r.hold, Constraint: "< 2", Window: &updater.Opening{At: time.Unix(0, 0).UTC()}, Disabled: "use apt",
			Owner:      &owner.Package{Manager: "dpkg", Name: "hello", Upgrade: "apt-get install --only-upgrade hello"},
			Quarantine: []updater.Quarantined{{Version: "1.1.0", Digest: release.Digest{1}, Reason: "crashed"}},
			Rollout:    &updater.Turn{Version: "1.1.0"}, Yanked: &release.Stop{Reason: "loses data", Since: time.Now()}, Source: "path /drop/hello", Automatic: true, Kept: []updater.Kept{{Version: "0.9.0", Digest: release.Digest{1}}},
			Last: &updater.Attempt{ID: "u-1", From: "1.0.0", To: "1.1.0", Outcome: "rolled-back", Reason: "crashed", Ended: time.Now()}}}
}

func (r *running) Check(context.Context, admin.Request) (admin.Check, error) { return r.check, nil }

func (r *running) Change(_ context.Context, rollback bool, req admin.Request, events func(updater.Event)) (updater.Outcome, error) {
	r.asked = append(r.asked, req)
	events(updater.Event{Phase: updater.PhaseFetch, Version: "1.1.0", Done: 1, Total: 2e6})
	events(updater.Event{Phase: updater.PhaseFetch, Version: "1.1.0", Done: 1e6, Total: 2e6})
	events(updater.Event{Phase: updater.PhaseFetch, Version: "1.1.0", Done: 2e6, Total: 2e6})
	events(updater.Event{Phase: updater.PhaseProbation, Version: "1.1.0"})
	if r.err != nil {
		return updater.Outcome{}, r.err
	}
	return updater.Outcome{Changed: true, From: "1.0.0", To: "1.1.0", Restarted: !r.stays}, nil
}

func (r *running) Restart(_ context.Context, events func(updater.Event)) (updater.Outcome, error) {
	events(updater.Event{Phase: updater.PhaseProbation, Version: "1.0.0"})
	return updater.Outcome{From: "1.0.0", To: "1.0.0", Restarted: true}, r.err
}

func (r *running) Drain(d admin.Drain) (admin.Drained, error) {
	if d.Undo {
		return admin.Drained{PID: 7}, r.err
	}
	return admin.Drained{PID: 7, StopsAt: time.Now().Add(time.Duration(d.Delay)), Deadline: time.Now().Add(-time.Hour)}, r.err
}

func (r *running) LogLevel() (admin.LogLevel, error) { return admin.LogLevel{Level: "INFO"}, r.err }

func (r *running) SetLogLevel(l admin.SetLogLevel) (admin.LogLevel, error) {
	return admin.LogLevel{Level: l.Level + "\x1b", Usual: "INFO", Until: time.Now().Add(time.Duration(l.For))}, r.err
}

func (r *running) Hold(_ context.Context, h *updater.Hold) error {
	r.hold = h
	return r.err
}

func (r *running) Unquarantine(_ context.Context, which string) ([]updater.Quarantined, error) {
	r.cleared = append(r.cleared, which)
	return []updater.Quarantined{{Version: "1.1.0", Digest: release.Digest{1}}}, r.err
}

func (r *running) History() ([]updater.Attempt, error) {
	return []updater.Attempt{{ID: "u-1", Kind: "upgrade", From: "1.0.0", To: "1.1.0", Outcome: "rolled-back", Reason: "crashed\x1b[2J", Ended: time.Unix(0, 0)}}, r.err
}

// tmp is where the test binary was told to work, before the tests set TMPDIR.
var tmp = os.TempDir()

// stateDir is short, as the paths of Unix sockets must be.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(tmp, "cm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
	return filepath.Join(dir, "s")
}

// run makes r findable under id.
func (r *running) run(id string) {
	r.t.Helper()
	dir := filepath.Join(admin.Homes(r.state)[0], id)
	if err := admin.MakePrivate(dir); err != nil {
		r.t.Fatal(err)
	}
	in := admin.Instance{ID: id, App: "hello", Admin: filepath.Join(dir, "admin.sock")}
	ln, err := net.Listen("unix", in.Admin)
	if err != nil {
		r.t.Fatal(err)
	}
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	srv := &http.Server{Handler: admin.Handler(r, ok, ok)}
	done := make(chan struct{})
	go func() { srv.Serve(ln); close(done) }()
	r.t.Cleanup(func() { srv.Close(); <-done })
	if err := in.Write(dir); err != nil {
		r.t.Fatal(err)
	}
}

// execute runs one command line of hello.
func execute(s server.Service, args ...string) (out, errs string, err error) {
	s.Name = "hello"
	if s.Version == "" {
		s.Version = "1.0.0"
	}
	root := Root(s)
	var o, e bytes.Buffer
	root.SetArgs(args)
	root.SetOut(&o)
	root.SetErr(&e)
	root.SetIn(strings.NewReader(""))
	err = root.ExecuteContext(context.Background())
	return o.String(), e.String(), err
}

var available = admin.Check{Schema: 1, Current: "1.0.0", Available: true, Version: "1.1.0", Length: 2e6, Notes: "better\x1b[2J"}

func TestCommands(t *testing.T) {
	stopped := admin.Check{Schema: 1, Current: "1.0.0", Version: "1.1.0",
		Stop: &admin.Failure{Class: updater.Policy, Reason: "quarantined", Message: "version 1.1.0 is in quarantine", Serving: "1.0.0"}}
	turn := admin.Check{Schema: 1, Current: "1.0.0", Version: "1.1.0", Rollout: &updater.Turn{Version: "1.1.0", At: time.Unix(0, 0)},
		Stop: &admin.Failure{Class: updater.Policy, Reason: "rollout", Message: "version 1.1.0 goes to the hosts by and by"}}
	withdrawn := admin.Check{Schema: 1, Current: "1.0.0", Version: "1.0.0", Yanked: &release.Stop{Reason: "loses data"}}
	undone := &updater.Error{Class: updater.Undone, Reason: "crashed", Err: errors.New("it crashed")}
	for _, tt := range []struct {
		name   string
		check  admin.Check
		err    error
		args   string
		code   int
		stdout string
		stderr string
	}{
		{"check", available, nil, "check", 100, "hello 1.0.0 → 1.1.0 is available (2.0 MB)\n", ""},
		{"current", admin.Check{Current: "1.0.0", Version: "1.0.0"}, nil, "check", 0, "hello 1.0.0 is current\n", ""},
		{"nothing", admin.Check{Current: "1.0.0"}, nil, "check", 0, "nothing is offered now", ""},
		{"stopped", stopped, nil, "check", 3, "", ""},
		{"its turn comes", turn, nil, "check", 3, "hello 1.1.0: yours at 1970-01-01T00:00:00Z\n", ""},
		{"yanked", withdrawn, nil, "check", 0, "hello 1.0.0 is current\n", "warning: version 1.0.0, which runs, was yanked: loses data\n"},
		{"no terminal", available, nil, "upgrade", 2, "", ""},
		{"upgrade", available, nil, "upgrade --yes", 0, "hello 1.0.0 → 1.1.0, and serving\n", "fetch 1.1.0 (2.0 MB)\nprobation 1.1.0\n"},
		{"upgrade --check", available, nil, "upgrade --check", 100, "is available", ""},
		{"plan", available, nil, "upgrade --yes", 0, "", "hello 1.0.0 → 1.1.0 (2.0 MB)\nbetter[2J\n"},
		{"already", admin.Check{Current: "1.0.0", Version: "1.0.0"}, nil, "upgrade --yes", 0, "hello 1.0.0 is current\n", ""},
		{"missing", admin.Check{Current: "1.0.0"}, nil, "upgrade --yes", 75, "", ""},
		{"refused", stopped, nil, "upgrade --yes", 3, "", ""},
		{"forced", stopped, nil, "upgrade --yes --force", 0, "1.1.0, and serving", ""},
		{"undone", available, undone, "upgrade --yes", 7, "", ""},
		{"rollback", available, nil, "rollback --yes", 0, "and serving", "the previous version; 1.0.0 will be quarantined"},
		{"status", available, nil, "status", 0, "● hello 1.0.0 serving, generation 3, pid 7", ""},
		{"draining", available, nil, "status", 0, "generation 2, pid 6, 4 connections left, began 1m0s ago", ""},
		{"restart failed", available, nil, "status", 0, "restart      undone: crashed[2J\n", ""},
		{"rollout", available, nil, "status", 0, "rollout      1.1.0: never yours, as the rollout is now\n", ""},
		{"yanked status", available, nil, "status", 0, "yanked       the version that runs: loses data", ""},
		{"constraint", available, nil, "status", 0, "constraint   < 2\n", ""},
		{"window", available, nil, "status", 0, "window       opens at 1970-01-01T00:00:00Z\n", ""},
		{"owner", available, nil, "status", 0, "owner        hello, a package of dpkg: apt-get install --only-upgrade hello\n", ""},
		{"disabled", available, nil, "status", 0, "instead      use apt\n", ""},
		{"hold", available, nil, "hold --reason fair", 0, ": fair\n", ""},
		{"hold until nothing", available, nil, "hold --until soon", 2, "", ""},
		{"hold refused", available, updater.ErrBusy, "hold", 6, "", ""},
		{"unhold", available, nil, "unhold", 0, "hello: updates are not held\n", ""},
		{"quarantine", available, nil, "quarantine", 0, "1.1.0  010000000000  ", ""},
		{"quarantine list", available, nil, "quarantine list", 0, "1.1.0  010000000000  ", ""},
		{"quarantine clear", available, nil, "quarantine clear 1.1.0", 0, "hello 1.1.0 (010000000000) may be tried again\n", ""},
		{"quarantine clear all", available, nil, "quarantine clear --all", 0, "may be tried again\n", ""},
		{"quarantine clear nothing", available, nil, "quarantine clear", 2, "", ""},
		{"quarantine clear too much", available, nil, "quarantine clear 1.1.0 --all", 2, "", ""},
		{"quarantine flag", available, nil, "quarantine clear --bogus", 2, "", ""},
		{"quarantine word", available, nil, "quarantine cleer", 2, "", ""},
		{"history", available, nil, "history", 0, "1970-01-01T00:00:00Z  upgrade  1.0.0 → 1.1.0  u-1  rolled-back: crashed[2J\n", ""},
		{"history fails", available, errors.New("odd"), "history", 1, "", ""},
		{"restart", available, nil, "restart", 0, "hello 1.0.0 restarted, and serving\n", "probation 1.0.0\n"},
		{"restart undone", available, undone, "restart --json", 7, `"class": "undone"`, ""},
		{"drain", available, nil, "drain --delay 10s --no-wait", 0, "hello stops at ", ""},
		{"drain without end", available, nil, "drain", 1, "", "hello stops at "},
		{"drain undone", available, nil, "drain --undo", 0, "hello goes on serving\n", ""},
		{"drain backwards", available, nil, "drain --delay -1s", 2, "", ""},
		{"log level", available, nil, "log-level", 0, "hello logs INFO\n", ""},
		{"log level for a while", available, nil, "log-level debug --for 10m", 0, "hello logs DEBUG until ", ""},
		{"log level unknown", available, nil, "log-level loud", 2, "", ""},
		{"instance", available, nil, "status --instance other", 2, "", ""},
		{"argument", available, nil, "check 1.1.0", 2, "", ""},
		{"flag", available, nil, "check --bogus", 2, "", ""},
		{"ignored source", available, nil, "check --watch x --minisign-key y", 100, "", "the running server looks where it was told to"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &running{t: t, state: stateDir(t), check: tt.check, err: tt.err}
			r.run("abc")
			out, errs, err := execute(server.Service{StateDir: r.state}, strings.Fields(tt.args)...)
			if got := ExitCode(err); got != tt.code || !strings.Contains(out, tt.stdout) || !strings.Contains(errs, tt.stderr) {
				t.Errorf("code %d (%v), want %d\nstdout %q, want %q\nstderr %q, want %q", got, err, tt.code, out, tt.stdout, errs, tt.stderr)
			}
			if strings.Contains(out+errs, "\x1b") {
				t.Errorf("control characters: %q %q", out, errs)
			}
		})
	}
}

// --json is one document with a schema, whatever happens.
func TestJSON(t *testing.T) {
	for _, tt := range []struct {
		args  string
		err   error
		check admin.Check
		has   []string
	}{
		{"check --json", nil, available, []string{"current", "available", "version"}},
		{"status --json", nil, available, []string{"app", "state", "updater"}},
		{"version --json", nil, available, []string{"name", "version", "platform", "protocols"}},
		{"upgrade --yes --json", nil, available, []string{"changed", "from", "to", "restarted"}},
		{"upgrade --yes --json", errors.New("no"), available, []string{"error"}},
		{"upgrade --json", nil, available, []string{"error"}},
		{"rollback --yes --json", nil, available, []string{"changed"}},
		{"hold --json", nil, available, []string{"hold"}},
		{"unhold --json", nil, available, []string{"schema"}},
		{"quarantine --json", nil, available, []string{"quarantine"}},
		{"quarantine clear --all --json", nil, available, []string{"quarantine"}},
		{"quarantine clear --json", nil, available, []string{"error"}},
		{"history --json", nil, available, []string{"attempts"}},
		{"check --json", nil, admin.Check{Schema: 1, Stop: &admin.Failure{Class: updater.Policy}}, []string{"current", "stop"}},
		{"check --json --instance other", nil, available, []string{"error"}},
	} {
		r := &running{t: t, state: stateDir(t), check: tt.check, err: tt.err}
		r.run("abc")
		out, _, _ := execute(server.Service{StateDir: r.state}, strings.Fields(tt.args)...)
		var doc map[string]any
		d := json.NewDecoder(strings.NewReader(out))
		if err := d.Decode(&doc); err != nil || d.More() || doc["schema"] != 1.0 {
			t.Errorf("%s: not one document with a schema: %v\n%s", tt.args, err, out)
		}
		for _, field := range tt.has {
			if _, ok := doc[field]; !ok {
				t.Errorf("%s: no field %q in %s", tt.args, field, out)
			}
		}
	}
}

func TestSeveralInstances(t *testing.T) {
	r := &running{t: t, state: stateDir(t), check: available}
	r.run("abc")
	r.run("def")
	_, _, err := execute(server.Service{StateDir: r.state}, "status")
	if ExitCode(err) != 2 || !strings.Contains(err.Error(), "abc, def") {
		t.Errorf("two servers: %v", err)
	}
	if _, _, err := execute(server.Service{StateDir: r.state}, "status", "--instance", "def"); err != nil {
		t.Error(err)
	}
}

// What is asked for travels to the server.
func TestRequest(t *testing.T) {
	r := &running{t: t, state: stateDir(t), check: available}
	r.run("abc")
	if _, _, err := execute(server.Service{StateDir: r.state}, "upgrade", "1.1.0", "--yes", "--force"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := execute(server.Service{StateDir: r.state}, "rollback", "0.9.0", "--yes"); err != nil {
		t.Fatal(err)
	}
	if len(r.asked) != 2 || r.asked[0] != (admin.Request{Version: "1.1.0", Force: true}) || r.asked[1].Version != "0.9.0" {
		t.Errorf("asked for %+v", r.asked)
	}
}

func TestHoldTravels(t *testing.T) {
	r := &running{t: t, state: stateDir(t), check: available}
	r.run("abc")
	t.Setenv("SUDO_USER", "ann")
	if _, _, err := execute(server.Service{StateDir: r.state}, "hold", "--reason", "fair", "--until", "2100-01-02T03:04:05Z"); err != nil {
		t.Fatal(err)
	}
	if want := (updater.Hold{Reason: "fair", By: "ann", Until: time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC)}); r.hold == nil || *r.hold != want {
		t.Errorf("held %+v, want %+v", r.hold, want)
	}
	for _, args := range []string{"unhold", "quarantine clear 1.1.0", "quarantine clear --all"} {
		if _, _, err := execute(server.Service{StateDir: r.state}, strings.Fields(args)...); err != nil {
			t.Error(err)
		}
	}
	if r.hold != nil || strings.Join(r.cleared, ",") != "1.1.0," {
		t.Errorf("held %+v, cleared %q", r.hold, r.cleared)
	}
}

func TestParseUntil(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.Local)
	for s, want := range map[string]time.Time{
		"": {}, "36h": now.Add(36 * time.Hour), "7d": now.AddDate(0, 0, 7), "2026-12-31": time.Date(2026, 12, 31, 0, 0, 0, 0, time.Local),
		"2026-12-31 18:00": time.Date(2026, 12, 31, 18, 0, 0, 0, time.Local), "2026-12-31T18:00": time.Date(2026, 12, 31, 18, 0, 0, 0, time.Local),
		"2026-12-31T18:00:00+02:00": time.Date(2026, 12, 31, 16, 0, 0, 0, time.UTC),
	} {
		if got, err := parseUntil(s, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"soon", "d", "31.12.2026", "1x"} {
		if got, err := parseUntil(s, now); err == nil {
			t.Errorf("%q: %v", s, got)
		}
	}
}

// A build that others distribute updates itself by no command, and says what to do instead; where there is no place for state as well.
func TestDisabled(t *testing.T) {
	for _, dir := range []string{stateDir(t), "/proc/none"} {
		s := server.Service{StateDir: dir, Disabled: "update it with apt", Handler: http.NotFoundHandler()}
		for _, args := range []string{"check", "upgrade --yes", "upgrade 1.1.0 --yes --force"} {
			_, _, err := execute(s, strings.Fields(args)...)
			var b strings.Builder
			explain(&b, "hello", err)
			if ExitCode(err) != 3 || !strings.HasSuffix(b.String(), "update it with apt\n") {
				t.Errorf("%s in %s: %d, %q", args, dir, ExitCode(err), b.String())
			}
		}
	}
}

func TestNoServer(t *testing.T) {
	dir := stateDir(t)
	for args, code := range map[string]int{
		"status":                         1,
		"check":                          2, // no source
		"upgrade --yes":                  2,
		"rollback --yes":                 3, // nothing is kept
		"hold --reason fair":             0,
		"unhold":                         0,
		"quarantine":                     0,
		"quarantine clear --all":         0,
		"quarantine clear 9.9.9":         1,
		"history":                        0,
		"check --constraint ^1":          2,
		"serve --constraint ^1":          2,
		"serve --window 25:00":           2,
		"version":                        0,
		"help exit-codes":                0,
		"serve --listen x":               2,
		"serve --feed http://localhost/": 2,
		"serve --watch x":                2,
		"serve --watch x --minisign-key /nowhere":                       2,
		"serve --watch x --minisign-key k --feed http://x/ --root root": 2,
	} {
		h := http.NotFoundHandler()
		_, _, err := execute(server.Service{StateDir: dir, Handler: h}, strings.Fields(args)...)
		if got := ExitCode(err); got != code {
			t.Errorf("%s: %d (%v), want %d", args, got, err, code)
		}
	}
}

// The flags of serve, the program's own among them, end up where they belong.
func TestServeFlags(t *testing.T) {
	own := ""
	s := server.Service{Listen: []string{"localhost:1"}, UpdateProbation: time.Hour,
		Flags: func(fs *flag.FlagSet) { fs.StringVar(&own, "dir", ".", "directory") }}
	cmd := cli{s: s}.serve()
	if got := cmd.Flag("listen").DefValue + cmd.Flag("probation").DefValue; got != "[localhost:1]1h0m0s" {
		t.Errorf("defaults of the program are shown as %s", got)
	}
	if err := cmd.ParseFlags([]string{"--dir", "/srv", "--listen", ":80", "--listen", "unix:/x"}); err != nil {
		t.Fatal(err)
	}
	if list, err := cmd.Flags().GetStringArray("listen"); err != nil || len(list) != 2 || own != "/srv" {
		t.Errorf("listen %v, own %q, %v", list, own, err)
	}
}
