//go:build unix

package gracetest

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestKills: each kill happens at the phase that it names, and costs nothing but what was in the process that died.
func TestKills(t *testing.T) {
	for name, c := range map[string]struct {
		kills   []kill
		follows []string // in this order, among others; what two processes tell has none, unless one waits for the other
		not     []string // of all the events
	}{
		"successor early": {[]kill{{false, BeforeHello}, {false, BeforeReady}},
			[]string{"held", "rolled-back", "undone"}, []string{"standby", "ready", "committed"}},
		"successor on probation": {[]kill{{false, FirstHalf}, {false, SecondHalf}},
			[]string{"spawned", "standby", "rolled-back", "undone"}, []string{"committed", "active"}},
		"successor in the commit": {[]kill{{false, Committing}},
			[]string{"standby", "committing", "held", "committed", "resurrected", "standby", "active"}, []string{"undone"}},
		"successor late": {[]kill{{false, AfterCommit}},
			[]string{"standby", "committing", "committed", "resurrected", "standby", "active"}, []string{"undone"}},
		"predecessor early": {[]kill{{true, BeforeHello}, {true, BeforeReady}},
			[]string{"held", "orphaned", "active"}, []string{"standby", "committed"}},
		"predecessor in standby": {[]kill{{true, FirstHalf}, {true, SecondHalf}, {true, Committing}},
			[]string{"standby", "orphaned", "active"}, []string{"committed"}},
		"predecessor draining": {[]kill{{true, AfterCommit}},
			[]string{"standby", "committing", "committed"}, []string{"orphaned", "drained"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := begin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }),
				[]Option{Probation(200 * time.Millisecond)})
			for _, k := range c.kills {
				mark := r.line.mark()
				r.kill(k)
				got := r.line.names(mark)
				i := 0
				for _, name := range got {
					if i < len(c.follows) && name == c.follows[i] {
						i++
					}
				}
				if i < len(c.follows) {
					t.Errorf("%s: %s; no %s in its place", k, strings.Join(got, " "), c.follows[i])
				}
				for _, name := range c.not {
					if slices.Contains(got, name) {
						t.Errorf("%s: %s", k, strings.Join(got, " "))
					}
				}
			}
			r.handOver()
			if report := r.finish(); report.Kills != len(c.kills) || report.Handovers != 1 {
				t.Errorf("%d kills, %d handovers", report.Kills, report.Handovers)
			}
		})
	}
}

func (l *line) names(mark int) (list []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events[mark:] {
		list = append(list, e.name)
	}
	return list
}
