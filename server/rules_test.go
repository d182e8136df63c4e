package server_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
)

const (
	rulesFile     = "../docs/prometheus/rules.yml"
	dashboardFile = "../docs/grafana/dashboard.json"
)

// known holds the metrics that alert rules and dashboard name against those that were scraped.
func known(t *testing.T, all map[string]*dto.MetricFamily) {
	names := mentioned(t)
	if len(names) < 20 {
		t.Errorf("only %v", names)
	}
	for _, name := range names {
		if all[family(all, strings.Replace(name, "hello_", "metered_", 1))] == nil {
			t.Errorf("no scrape had %s", name)
		}
	}
}

// family is the name under which a series is declared.
func family(all map[string]*dto.MetricFamily, name string) string {
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && all[base] != nil {
			return base
		}
	}
	return name
}

// mentioned are the metrics that both files name: as Prometheus' own parser reads them, where that was built from testdata/promql and MOULT_TEST_PROMQL
// names it; and whatever looks like one, in any case.
func mentioned(t *testing.T) []string {
	var names []string
	for _, file := range []string{rulesFile, dashboardFile} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, regexp.MustCompile(`\b(?:hello|go|process)_[a-z_]*[a-z]`).FindAllString(string(b), -1)...)
	}
	if promql := os.Getenv("MOULT_TEST_PROMQL"); promql != "" {
		out, err := exec.Command(promql, rulesFile, dashboardFile).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		names = append(names, strings.Fields(string(out))...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// TestAlertRules: Prometheus takes the rules, and each fires when it should. Without promtool only the words are looked at.
func TestAlertRules(t *testing.T) {
	b, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile("../docs/prometheus/rules_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	alerts := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(string(b), -1)
	if len(alerts) < 10 {
		t.Errorf("alerts %v", alerts)
	}
	for _, word := range []string{"NotReady", "CrashLoop", "UpgradeFailed", "HandoverUndone", "DrainsTooLong", "UpdatesOff", "FeedStale", "FeedExpires", "QuarantineGrows"} {
		if !strings.Contains(string(tests), "alertname: "+word) {
			t.Errorf("no test of %s", word)
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("no promtool")
	}
	for _, args := range [][]string{{"check", "rules", "rules.yml"}, {"test", "rules", "rules_test.yml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = "../docs/prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// TestDashboard: it is JSON, every panel has a title, a question and a place of its own.
func TestDashboard(t *testing.T) {
	b, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Panels []struct {
			ID                       int
			Type, Title, Description string
			GridPos                  struct{ X, Y, W, H int }
			Targets                  []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &doc); err != nil || len(doc.Panels) < 20 {
		t.Fatalf("%d panels, %v", len(doc.Panels), err)
	}
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range doc.Panels {
		if ids[p.ID] || p.Title == "" || p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("panel %d %q: %+v", p.ID, p.Title, p)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other := taken[at]; other != "" || at[0] >= 24 {
					t.Fatalf("%q lies on %q at %v", p.Title, other, at)
				}
				taken[at] = p.Title
			}
		}
	}
}
