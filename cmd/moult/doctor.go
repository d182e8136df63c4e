package main

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moult-go/moult/release/tuf"
)

func newDoctor() *cobra.Command {
	var from viewFlags
	var url string
	var strict bool
	cmd := &cobra.Command{
		Use:   "doctor DIR",
		Short: "Look for what will go wrong",
		Long: `Look at the feed in DIR, at its keys, and with --url at the place that serves it: signatures that do not hold or end soon, files that are missing,
keys that lie where they should not, a server that caches what it must not. Each finding comes with what to do. It changes nothing and needs no passphrase.

The exit code is 0 if nothing is wrong (with --strict: if there is no warning either), 1 for a warning under --strict, 4 for a failure.`,
		Example: "  moult doctor feed --url https://example.com/hello",
		Args:    nArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d := &doctor{dir: args[0], keyDir: from.keys, now: time.Now()}
			root, err := from.readRoot(d.dir)
			if err != nil {
				return err
			}
			d.lookAtFeed(root)
			d.lookAtFiles(cmd.Context())
			d.lookAtKeys()
			if url != "" {
				d.lookAtServer(cmd.Context(), url, root)
			}
			r := &doctorResult{Schema: schema, App: d.app, Findings: d.findings}
			if err := emit(cmd, r); err != nil {
				return err
			}
			return r.verdict(strict)
		},
	}
	from.add(cmd)
	cmd.Flags().StringVar(&url, "url", "", "where the feed is served, to be looked at too")
	cmd.Flags().BoolVar(&strict, "strict", false, "a warning is a failure")
	return cmd
}

// The states of a finding.
const (
	stateOK      = "ok"
	stateWarning = "warning"
	stateFailure = "failure"
)

// finding is the answer of one check.
type finding struct {
	Check  string `json:"check"` // its fixed name
	State  string `json:"state"`
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"`
}

// doctor collects what it finds at one feed.
type doctor struct {
	dir, keyDir string
	now         time.Time
	app         string
	repo        *tuf.Repository // nil if the directory does not verify
	findings    []finding
}

func (d *doctor) ok(check, format string, args ...any) {
	d.findings = append(d.findings, finding{Check: check, State: stateOK, Detail: fmt.Sprintf(format, args...)})
}

func (d *doctor) warn(check, hint, format string, args ...any) {
	d.findings = append(d.findings, finding{check, stateWarning, fmt.Sprintf(format, args...), hint})
}

func (d *doctor) fail(check, hint, format string, args ...any) {
	d.findings = append(d.findings, finding{check, stateFailure, fmt.Sprintf(format, args...), hint})
}

// failWith takes the hint that goes with err everywhere.
func (d *doctor) failWith(check string, err error) {
	_, hint := explain(err)
	d.fail(check, hint, "%v", err)
}

func (d *doctor) lookAtFeed(root []byte) {
	r, err := tuf.Inspect(d.dir, root)
	if err != nil {
		d.failWith("signatures", err)
		return
	}
	d.repo, d.app = r, r.App()
	if root == nil {
		d.warn("signatures", "name the root that the program embeds by --root", "they hold, from the feed's own first root")
	} else {
		d.ok("signatures", "they hold")
	}
	for _, e := range r.Expiries() {
		d.lookAtExpiry(e)
	}
}

func (d *doctor) lookAtExpiry(e tuf.Expiry) {
	check, hint := "expiry-"+e.Role, renewHint(e.Role)
	left := e.Expires.Sub(d.now)
	switch {
	case left <= 0:
		d.fail(check, hint, "%s expired on %s: no server takes an update", e.Role, e.Expires.Format(time.DateTime))
	case e.EndsSoon(d.now):
		d.warn(check, hint, "%s expires in %s", e.Role, daysText(left))
	default:
		d.ok(check, "%s holds for %s", e.Role, daysText(left))
	}
}

// renewHint names the command that renews a role.
func renewHint(role string) string {
	switch role {
	case "root":
		return "moult root refresh, with the root keys"
	case "targets":
		return "moult refresh, where the targets key is"
	}
	return "moult refresh, every day on a timer: docs/howto/freshness.md"
}

func daysText(d time.Duration) string {
	if d < 48*time.Hour {
		return fmt.Sprintf("%.0f hours", d.Hours())
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}

// lookAtKeys opens no key: it looks at where they are, who may read them, and whether they are encrypted.
func (d *doctor) lookAtKeys() {
	dir := d.keyDir
	if dir == "" {
		dir = filepath.Dir(tuf.TrustedRootFile(d.dir, ""))
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		d.ok("keys", "none on this host")
		return
	}
	if err != nil {
		d.failWith("keys", err)
		return
	}
	plain, root := 0, ""
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		block, open, err := keyFileFacts(path)
		if err != nil {
			d.failWith("keys", err)
			continue
		}
		if block == "" {
			continue
		}
		if open {
			d.fail("keys", "chmod 600 "+path, "%s may be read by others", path)
		}
		if !strings.HasPrefix(block, "ENCRYPTED") {
			plain++
		}
		if strings.HasPrefix(e.Name(), "root") {
			root = path
		}
	}
	d.judgeKeys(dir, root, plain)
}

func (d *doctor) judgeKeys(dir, root string, plain int) {
	switch {
	case root != "" && plain > 0:
		d.fail("root-key", "move "+root+" to a medium that you lock away", "the root key lies beside others, and %d of them are in plain text", plain)
	case root != "":
		d.warn("root-key", "move "+root+" to a medium that you lock away, and copy it to a second one", "the root key is still on this host")
	default:
		d.ok("root-key", "not on this host")
	}
	if plain > 0 && root == "" {
		d.ok("keys", "%d in plain text in %s: whoever reads them signs", plain, dir)
	}
}

// keyFileFacts tells what kind of private key a file holds, "" for none, and whether others may read it.
func keyFileFacts(path string) (block string, open bool, err error) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > 64<<10 {
		return "", false, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", false, err
	}
	p, _ := pem.Decode(b)
	if p == nil || !strings.Contains(p.Type, "PRIVATE KEY") {
		return "", false, nil
	}
	return p.Type, runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0, nil
}

type doctorResult struct {
	Schema   int       `json:"schema"`
	App      string    `json:"app,omitempty"`
	Findings []finding `json:"findings"`
}

func (r *doctorResult) count(state string) (n int) {
	for _, f := range r.Findings {
		if f.State == state {
			n++
		}
	}
	return n
}

func (r *doctorResult) text(w io.Writer) {
	mark := map[string]string{stateOK: "ok  ", stateWarning: "WARN", stateFailure: "FAIL"}
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%s  %-18s %s\n", mark[f.State], f.Check, printable(f.Detail))
		if f.Hint != "" {
			fmt.Fprintf(w, "      %-18s → %s\n", "", printable(f.Hint))
		}
	}
	fmt.Fprintf(w, "\nchecks: %d, failed: %d, warnings: %d\n", len(r.Findings), r.count(stateFailure), r.count(stateWarning))
}

// verdict is the exit code.
func (r *doctorResult) verdict(strict bool) error {
	const hint = "do what stands beside each finding, then run moult doctor again"
	switch failed, warned := r.count(stateFailure), r.count(stateWarning); {
	case failed > 0:
		return &told{exitVerify, fmt.Sprintf("%d of %d checks failed", failed, len(r.Findings)), hint}
	case strict && warned > 0:
		return &told{exitFailed, fmt.Sprintf("%d of %d checks warn", warned, len(r.Findings)), hint}
	}
	return nil
}
