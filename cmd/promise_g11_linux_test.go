//go:build amd64

package cmd_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPromiseG11 kills with SIGKILL, at every moment of an update, the process whose moment it is: the server, the child that stages, the
// child that proves, the successor; "app upgrade" without a server; the successor that was left alone; and the next start after a crash.
// Somebody accepts as long as anybody lives, and one alone in the end; if nobody lives, a cold start brings what is installed. The executable is
// whole at every moment, the journal comes to rest, and the next update works.
func TestPromiseG11(t *testing.T) {
	t.Parallel() // it sleeps most of the time
	f := newForce(t)
	full := os.Getenv("MOULT_PROMISES") == "full"
	begun := time.Now()
	before := map[kind]bool{}
	var tries []attempt
	for i, p := range plots() {
		if !full && i > 0 {
			break
		}
		if p.scene != nil {
			if err := f.set(t.Context(), p); err != nil {
				t.Fatalf("%s: %v", p.name, err)
			}
		}
		seen, err := f.list(t.Context(), p)
		if errors.Is(err, syscall.EPERM) {
			t.Skipf("a tracer is not permitted here: %v", err)
		}
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		chosen := choose(seen, p, before)
		t.Logf("%s: %d sides of %d calls, %d moments", p.name, len(seen), calls(seen), len(chosen))
		if chosen = partOfDay(chosen); !full {
			chosen = thin(chosen, 8)
		}
		for _, m := range chosen {
			tries = append(tries, attempt{p, m})
		}
	}
	gaps := 0
	for i, err := range f.tryAll(t.Context(), tries) {
		if errors.Is(err, errNotMet) {
			gaps++
		}
		if err != nil {
			t.Errorf("%s: killed %v: %v", tries[i].name, tries[i].at, err)
		}
	}
	t.Logf("%d kills, %d moments not met, executable looked at %d times, %d requests, %s",
		len(tries)-gaps, gaps, f.looks.Load(), f.asked.Load(), time.Since(begun).Round(time.Second))
}

// kind is what moments have in common that differ by their number and side.
type kind struct{ role, call, path string }

// choose takes from what was seen of a plot: the moment before each kind of call, unless it was taken before; and after every call that changed
// something. Between them the disk is the same. Of a call that is repeated often, with a part of a file each time, it takes the first, the
// middle and the last.
func choose(seen []sight, p plot, before map[kind]bool) (chosen []moment) {
	total := map[kind]int{}
	for _, x := range seen {
		k := kind{x.role, x.call, x.path}
		total[k] = max(total[k], x.nth)
	}
	const often = 20
	begun := !p.slow
	for _, x := range seen {
		begun = begun || x.call == "receive COMMIT"
		k := kind{x.role, x.call, x.path}
		n := total[k]
		switch {
		case !begun || !concerns(x, p):
		case isFrame(x.call) && x.nth > 2: // by the clock: HEALTH comes once in each half of the probation
		case strings.HasSuffix(x.path, "/lock") && x.nth > 1: // tried by the clock; what comes after it is done with the lock held
		case !x.done && !before[k], x.changes && (n < often || x.nth == 1 || x.nth == n/2 || x.nth == n):
			before[k] = before[k] || !x.done
			chosen = append(chosen, x.moment)
		}
	}
	return chosen
}

func isFrame(call string) bool { return strings.Contains(call, " ") }

// concerns leaves out what does not belong to a plot, and files that are no part of the installation.
func concerns(x sight, p plot) bool {
	if !isFrame(x.call) && !strings.Contains(x.path, "opt") && !strings.HasPrefix(x.path, "drop") {
		return false
	}
	return p.heir == "" || x.role == p.heir
}

func calls(seen []sight) (n int) {
	for _, x := range seen {
		if !x.done {
			n++
		}
	}
	return n
}

// thin takes at most n moments, evenly, and among them those where it matters most.
func thin(list []moment, n int) []moment {
	if len(list) <= n {
		return list
	}
	var thin []moment
	for _, m := range list {
		if m.crucial() {
			thin = append(thin, m)
		}
	}
	for i, rest := 0, n-len(thin); i < rest; i++ {
		thin = append(thin, list[i*len(list)/rest])
	}
	return thin
}

// crucial reports whether it matters most to die here.
func (m moment) crucial() bool {
	return m.call == "renameat" && strings.HasSuffix(m.path, "→ opt/app") || m.done && slices.Contains([]string{"receive READY", "send COMMIT", "send ACK"}, m.call)
}

// partOfDay takes one moment of MOULT_KILLS each (default 1: all of them), others on the next day, and the crucial ones always.
func partOfDay(list []moment) []moment {
	each, err := strconv.Atoi(os.Getenv("MOULT_KILLS"))
	if err != nil || each < 2 {
		return list
	}
	var part []moment
	for i, m := range list {
		if m.crucial() || (i+time.Now().YearDay())%each == 0 {
			part = append(part, m)
		}
	}
	return part
}

// A plot is a way to come through an update, in which somebody dies.
type plot struct {
	name    string
	role    string   // of the first process, from its start
	args    []string // nil: it serves
	slow    bool     // a request makes it drain for a while; what is looked at begins with COMMIT
	then    string   // its role from the moment on when it is asked for an update; "": it is not asked
	program string   // "": what is installed
	heir    string   // the role of the successor after the server has died on probation; "": it does not
	scene   *moment  // the site is that of a server that died here, with all others
}

func plots() []plot {
	alone := []string{"upgrade", "--yes", "--watch", "drop/app", "--minisign-key", "key.pub"}
	return []plot{
		{name: "update", role: "start", then: "server"},
		{name: "alone", role: "upgrade", args: alone},
		{name: "drain", role: "start", then: "server", slow: true},
		{name: "orphan", role: "start", then: "server", heir: "orphan"},
		{name: "recovery of a probation", role: "recovery", scene: &onProbation},
		{name: "recovery of a commit", role: "recovery", scene: &replaced},
	}
}

var (
	onProbation = moment{"server", "receive HEALTHY", "", 1, true}
	replaced    = moment{"server", "renameat", "opt/.app.d/versions/2.0.0-*/app → opt/app", 1, true}
)

// errNotMet says that the moment did not come.
var errNotMet = errors.New("the moment did not come")

// TestPromiseG11Control goes through the update that selfupdate.Apply makes, in the same way: there is a moment without an executable, and who dies then
// leaves nothing that could be started.
func TestPromiseG11Control(t *testing.T) {
	t.Parallel()
	f := newForce(t)
	program := filepath.Join(f.dir, "selfupdate")
	if out, err := exec.Command("go", "build", "-o", program, "./testdata/selfupdate").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p := plot{name: "selfupdate", role: "updater", program: program, args: []string{"opt/app", "drop/app"}}
	seen, err := f.list(t.Context(), p)
	if errors.Is(err, syscall.EPERM) {
		t.Skipf("a tracer is not permitted here: %v", err)
	}
	if !errors.Is(err, errMissed) {
		t.Errorf("an update with nobody killed: %v, want moments without an executable", err)
	}
	t.Logf("nobody killed: %v", err)
	var tries []attempt
	for _, m := range choose(seen, p, map[kind]bool{}) {
		if m.call == "renameat" || os.Getenv("MOULT_PROMISES") == "full" {
			tries = append(tries, attempt{p, m})
		}
	}
	gone := 0
	for i, err := range f.tryAll(t.Context(), tries) {
		switch {
		case errors.Is(err, os.ErrNotExist):
			gone++
			t.Logf("killed %v: %.200v", tries[i].at, err)
		case err != nil && !errors.Is(err, errMissed):
			t.Errorf("killed %v: %v", tries[i].at, err)
		}
	}
	if gone == 0 {
		t.Errorf("of %d moments none leaves nothing to start", len(tries))
	}
	t.Logf("%d of %d moments leave nothing to start", gone, len(tries))
}
