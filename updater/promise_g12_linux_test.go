package updater

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func init() {
	cutFirst = func(dir, how string) error {
		if how == "" {
			return nil
		}
		return cutPower(dir, how)
	}
}

// outage is what a power cut comes in the middle of.
type outage struct {
	mode   string // of killChild
	of     string // the step of the cut that is recovered
	site   string // the installation before it, which is copied
	before string // what stands at the install path then
	after  string // what it puts there
	back   string // what it puts there if it is undone
	steps  []string
}

// mayStand returns what may be found after a cut at step i: what was durable there and, where a rename had begun that nothing
// has made durable yet, the other.
func (o *outage) mayStand(i int) []string {
	sure := o.before
	for n, s := range o.steps[:i+1] {
		s, _, _ = strings.Cut(s, " #")
		switch {
		case s == "replaced" && n == i:
			return []string{sure, o.after}
		case s == "replaced":
			sure = o.after
		case s == "put back" && n < i: // it is told before its rename
			sure = o.back
		}
	}
	return []string{sure}
}

// mayEnd is the same for the end of the recovery.
func (o *outage) mayEnd(i int) []string {
	may := o.mayStand(i)
	if strings.HasPrefix(o.mode, "replace first") {
		return append(may, oldBytes) // where it had not come to its end
	}
	if o.mode == "recovery" && o.interrupted() {
		return []string{o.back}
	}
	return may
}

// interrupted says that a recovery is of an update which was not committed.
func (o *outage) interrupted() bool { return !strings.HasPrefix(o.of, "state committed") }

func (o *outage) name() string { return strings.TrimSuffix(o.mode+" of "+o.of, " of ") }

// powerStation cuts the power of one file system again and again.
type powerStation struct {
	*disk
	sites   int
	cuts    int
	started time.Time
}

func newPowerStation(t *testing.T, kind, options string) *powerStation {
	return &powerStation{disk: newDisk(t, kind, options), started: time.Now()}
}

func (p *powerStation) site() string {
	p.sites++
	return filepath.Join(p.dir, fmt.Sprint(p.sites))
}

// copy makes a site like another, hard links and all.
func (p *powerStation) copy(of string) string {
	p.t.Helper()
	to := p.site()
	if out, err := exec.Command("cp", "-a", of, to).CombinedOutput(); err != nil {
		p.t.Fatalf("%v\n%s", err, out)
	}
	p.settle()
	return to
}

// fresh is an installation that nothing has been done to yet, with versions that are installed one after the other.
func (p *powerStation) fresh(payload []byte, versions ...string) string {
	p.t.Helper()
	dir := p.site()
	err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "hello"), []byte(oldBytes), 0o755), os.WriteFile(filepath.Join(dir, "payload"), payload, 0o644))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, v := range versions {
		updateTo(p.t, dir, v, candidate(p.t, v))
	}
	return dir
}

// visit lets f see an installation as a new process does, and holds nothing open on the file system afterwards.
func visit(t *testing.T, dir string, f func(b *bench)) {
	t.Helper()
	b := &bench{t: t, path: filepath.Join(dir, "hello"), source: &fakeSource{}, log: io.Discard}
	b.open(nil)
	defer b.root.Close()
	f(b)
}

func updateTo(t *testing.T, dir, version string, payload []byte) {
	t.Helper()
	visit(t, dir, func(b *bench) {
		b.source.offer(version, payload)
		if _, err := b.Upgrade(t.Context(), Request{}); err != nil {
			t.Fatalf("update to %s: %v", version, err)
		}
		if b.installed() != string(payload) {
			t.Fatalf("update to %s: not installed", version)
		}
	})
}

// dryRun learns the steps.
func (p *powerStation) dryRun(o *outage) {
	p.t.Helper()
	dir := p.copy(o.site)
	out, _ := runKillChild(p.t, dir, o.mode, "")
	if o.steps = stepsOf(out); len(o.steps) < 3 {
		p.t.Fatalf("%s: only %d steps:\n%s", o.mode, len(o.steps), out)
	}
	os.RemoveAll(dir)
}

// cut makes the power go at step i and come back, and returns the installation as it is found then.
func (p *powerStation) cut(t *testing.T, o *outage, i int, how string) (dir string) {
	t.Helper()
	dir = p.copy(o.site)
	t.Setenv("UPDATER_TEST_CUT", how)
	if out, killed := runKillChild(t, dir, o.mode, o.steps[i]); !killed {
		t.Fatalf("not cut\n%s", out)
	}
	p.remount()
	p.cuts++
	got, err := os.ReadFile(filepath.Join(dir, "hello"))
	if err != nil || !slices.Contains(o.mayStand(i), string(got)) {
		t.Fatalf("at the install path after the cut: %d bytes, %v", len(got), err)
	}
	return dir
}

// recovers looks at what the next process makes of an installation: at rest, nothing lost, and the next update works.
func (p *powerStation) recovers(t *testing.T, dir string, may ...string) {
	t.Helper()
	visit(t, dir, func(b *bench) {
		if _, err := b.readState(); err != nil {
			t.Errorf("state file: %v", err)
		}
		b.lock()
		defer b.Unlock()
		b.wantTidy()
		if !slices.Contains(may, b.installed()) {
			t.Errorf("recovery leaves another executable: %d bytes", len(b.installed()))
		}
		s := b.status()
		for _, k := range s.Kept {
			if !digestIs(b.versionFile(build(k)), k.Digest) {
				t.Errorf("the kept version %s is not whole", k.Version)
			}
		}
		if h, err := b.History(); err != nil || len(h) > 0 && h[len(h)-1].Outcome == outcomeCommitted && h[len(h)-1].Digest != s.Installed {
			t.Errorf("history %+v, %v: another build is installed", h, err)
		}
	})
	updateTo(t, dir, "9.9.999-ok", candidate(t, "9.9.999-ok"))
}

// at cuts at every nth step of o, once in each way, and judges.
func (p *powerStation) at(t *testing.T, o *outage, every int) {
	p.dryRun(o)
	for i, at := range o.steps {
		for n, how := range cuts {
			if (i+n)%every != 0 {
				continue
			}
			t.Run(o.name()+"/"+at+"/"+how, func(t *testing.T) {
				dir := p.cut(t, o, i, how)
				p.recovers(t, dir, o.mayEnd(i)...)
				os.RemoveAll(dir)
			})
		}
	}
}

// TestPromiseG12: the power goes at every step of an update, and when it is back there is a whole executable at the install
// path: the last committed one, or the one whose rename had begun. The cut is a shutdown of the file system, which loses what the kernel
// has not written; what a drive has acknowledged and not written is beyond it.
func TestPromiseG12(t *testing.T) {
	if !inOwnMounts(t) {
		return
	}
	kinds, every, loops := []string{"ext4"}, 13, 2
	if os.Getenv("MOULT_PROMISES") == "full" {
		kinds, every, loops = []string{"ext4", "xfs"}, 1, 40
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			p := newPowerStation(t, kind, "")
			first, second := candidate(t, "9.9.2-good"), candidate(t, "9.9.3-good")
			fresh, twice := p.fresh(first), p.fresh(nil, "9.9.2-good", "9.9.3-good")
			replaceFirst := &outage{mode: "replace first", site: fresh, before: oldBytes, after: string(first)}
			undone := &outage{mode: "replace first undone", site: fresh, before: oldBytes, after: string(first), back: oldBytes}
			alone := &outage{mode: "alone", site: fresh, before: oldBytes, after: string(first)}
			for _, o := range []*outage{
				{mode: "handover", site: fresh, before: oldBytes, after: string(first)},
				{mode: "undone", site: fresh, before: oldBytes},
				replaceFirst, undone, alone,
				{mode: "rollback", site: twice, before: string(second), after: string(first)},
				{mode: "rollback undone", site: twice, before: string(second)},
			} {
				p.at(t, o, every)
			}
			// The recovery of a cut is cut as well, and recovered.
			for _, hit := range []struct {
				o    *outage
				step string
			}{
				{replaceFirst, "replaced #1"},
				{undone, "state rolling-back renamed #1"},
				{undone, "state rolled-back renamed #1"},
				{alone, "state committing renamed #1"},
				{alone, "state committed renamed #1"},
				{alone, "state staged renamed #1"},
			} {
				dir := p.cut(t, hit.o, slices.Index(hit.o.steps, hit.step), cutBytes)
				stands, err := os.ReadFile(filepath.Join(dir, "hello"))
				if err != nil {
					t.Fatal(err)
				}
				p.at(t, &outage{mode: "recovery", of: hit.step, site: dir, before: string(stands), back: oldBytes}, every)
			}
			for n := range loops {
				p.anyTime(t, n)
			}
			t.Logf("%s: %d cuts in %v", kind, p.cuts, time.Since(p.started).Round(time.Millisecond))
		})
	}
}
