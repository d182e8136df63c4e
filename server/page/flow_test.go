package page

import (
	"strings"
	"testing"

	"github.com/moult-go/moult/server/admin"
	"github.com/moult-go/moult/updater"
)

// drawn is a flow in one line: a letter for each step.
func drawn(f flow) string {
	var b strings.Builder
	for _, s := range f.Steps {
		b.WriteString(map[mark]string{ahead: ".", done: "d", current: "C", broken: "F", skipped: "-"}[s.Mark])
	}
	return b.String()
}

func TestFlow(t *testing.T) {
	attempt := &updater.Attempt{Kind: "upgrade", From: "1.0.0", To: "1.1.0"}
	ended := func(kind, outcome string, step updater.Phase) *updater.Status {
		return &updater.Status{Phase: "idle", Last: &updater.Attempt{Kind: kind, From: "1.0.0", To: "1.1.0", Outcome: outcome, Step: step}}
	}
	under := func(phase string) *updater.Status { return &updater.Status{Phase: phase, Attempt: attempt} }
	for _, test := range []struct {
		name    string
		st      admin.Status
		drawn   string
		caption string
	}{
		{"nothing yet", admin.Status{State: "serving"}, ".........", "Nothing is under way"},
		{"checks", admin.Status{State: "serving", Version: "1.0.0", Progress: &updater.Event{Phase: updater.PhaseCheck}}, "C........", "Upgrade of 1.0.0"},
		{"fetches", admin.Status{State: "serving", Progress: &updater.Event{Phase: updater.PhaseFetch}, Updater: under("idle")}, "dC.......", "Upgrade 1.0.0 → 1.1.0"},
		{"proves, as another instance says", admin.Status{State: "serving", Updater: under("staged")}, "ddddC....", "Upgrade"},
		{"hands over", admin.Status{State: "handing-over", Progress: &updater.Event{Phase: updater.PhaseProve}, Updater: under("proven")}, "dddddC...", "Upgrade"},
		{"stands by", admin.Status{State: "standby", Updater: under("probation")}, "ddddddC..", "Upgrade"},
		{"on probation", admin.Status{State: "probation", Updater: under("probation")}, "ddddddC..", "Upgrade"},
		{"commits", admin.Status{State: "serving", Updater: under("committing")}, "dddddddC.", "Upgrade"},
		{"drains", admin.Status{State: "serving", Version: "1.1.0", Draining: []admin.Draining{{}}, Updater: ended("upgrade", "committed", "")}, "ddddddddC", "Upgrade 1.0.0 → 1.1.0"},
		{"restarts", admin.Status{State: "standby", Version: "1.0.0"}, "----ddC..", "Restart of 1.0.0"},
		{"drains after a restart", admin.Status{State: "serving", Version: "1.0.0", Draining: []admin.Draining{{}}}, "----ddddC", "Restart"},
		{"rolls back", admin.Status{State: "standby", Updater: &updater.Status{Attempt: &updater.Attempt{Kind: "rollback", From: "1.1.0", To: "1.0.0"}}}, "----ddC..", "Rollback 1.1.0 → 1.0.0"},
		{"went well", admin.Status{State: "serving", Updater: ended("upgrade", "committed", "")}, "ddddddddd", "Upgrade"},
		{"badly signed", admin.Status{State: "serving", Updater: ended("upgrade", "failed", updater.PhaseVerify)}, "ddF......", "Upgrade"},
		{"crashed", admin.Status{State: "serving", Updater: ended("upgrade", "rolled-back", updater.PhaseProbation)}, "ddddddF..", "Upgrade"},
		{"failed before anybody noted where", admin.Status{State: "serving", Updater: ended("", "failed", "")}, "dddddF...", "Upgrade"},
	} {
		f := newFlow(test.st)
		if drawn(f) != test.drawn || !strings.HasPrefix(f.Caption(), test.caption) {
			t.Errorf("%s: %s, %q; want %s, %q", test.name, drawn(f), f.Caption(), test.drawn, test.caption)
		}
	}
}
