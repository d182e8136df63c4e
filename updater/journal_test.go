package updater

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestStateKeepsUnknownFields(t *testing.T) {
	b := newBench(t, nil)
	doc := `{"schema": 7, "phase": "idle", "floor": "2.0.0", "hold": {"by": "a later version"}}`
	if err := os.WriteFile(b.statePath(), []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
	b.lock()
	got, err := os.ReadFile(b.statePath())
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(got, &all); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(all["hold"]), "a later version") || string(all["schema"]) != "7" || string(all["floor"]) != `"2.0.0"` {
		t.Errorf("state after a rewrite: %s", got)
	}
	if all["kept"] == nil {
		t.Errorf("it was not rewritten: %s", got)
	}
}

func TestStateFieldsAreComplete(t *testing.T) {
	b, err := json.Marshal((*plainState)(&state{
		Phase: journalStaged, Attempt: &record{}, Last: &Attempt{}, Kept: []Kept{{}}, Quarantine: []Quarantined{{}},
		Failures: []failure{{}}, Disk: "x", Archives: []unpacked{{}}, Tally: &tally{}, Admin: "x",
	}))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	for k := range all {
		if !slices.Contains(stateFields, k) {
			t.Errorf("%s is missing in stateFields: an empty value of it would never be written", k)
		}
	}
}

func TestDamagedStateIsSetAside(t *testing.T) {
	for _, doc := range []string{"", "{", `{"schema":1,"phase":"what"}`, `{"schema":1,"phase":"staged"}`,
		`{"schema":1,"phase":"staged","attempt":{"staged":"../../etc/passwd"}}`, `[]`} {
		b := newBench(t, nil)
		b.lock()
		b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
		if _, err := b.Upgrade(t.Context(), Request{}); err != nil {
			t.Fatal(err)
		}
		b.Unlock()
		if err := os.WriteFile(b.statePath(), []byte(doc), 0o600); err != nil {
			t.Fatal(err)
		}
		b.open(func(o *Options) { o.Version = "9.9.2-good" })
		if s := b.status(); !strings.Contains(s.Disk, "state file") {
			t.Errorf("%q: status does not say so: %+v", doc, s)
		}
		b.lock()
		if aside, _ := filepath.Glob(b.statePath() + ".damaged-*"); len(aside) != 1 {
			t.Errorf("%q: set aside as %v", doc, aside)
		}
		if s := b.status(); len(s.Kept) != 1 || s.Kept[0].Version != "1.0.0" {
			t.Errorf("%q: the kept versions were not found again: %v", doc, s.Kept)
		}
	}
}

func TestEveryPhaseIsReachedAndLeft(t *testing.T) {
	reached := map[journalPhase]bool{journalIdle: true}
	for from, next := range transitions {
		for _, p := range next {
			if _, ok := transitions[p]; !ok || p == from {
				t.Errorf("%s → %s", from, p)
			}
			reached[p] = true
		}
	}
	if len(reached) != len(transitions) {
		t.Errorf("reached %v", reached)
	}
	b := newBench(t, nil)
	b.lock()
	if err := b.enter(journalCommitted); err == nil || b.state.Phase != journalIdle {
		t.Errorf("idle → committed: %v", err)
	}
}

func TestHistoryTakesWhatIsWhole(t *testing.T) {
	b := newBench(t, nil)
	lines := `{"id":"1","to":"1.1.0"}` + "\n" + `{"id":"2","outcome":"failed"}` + "\n" + `{"id":"2","outcome":"failed"}` + "\n" + `{"id":"3","ou`
	if err := os.WriteFile(b.historyPath(), []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := b.History()
	if err != nil || len(h) != 2 || h[1].ID != "2" {
		t.Errorf("history %+v, %v", h, err)
	}
}

func FuzzParseState(f *testing.F) {
	f.Add([]byte(`{"schema":1,"phase":"committing","attempt":{"id":"1","from":"1.0.0","to":"1.1.0","staged":"versions/a/b"},"x":1}`))
	f.Add([]byte(`{"schema":1,"phase":"idle","floor":"1.0.0","quarantine":[{"digest":""}]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseState(b)
		if err != nil {
			return
		}
		out, err := s.marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseState(out); err != nil {
			t.Fatalf("written, it does not parse: %v\n%s", err, out)
		}
	})
}
