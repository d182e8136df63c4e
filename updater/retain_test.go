package updater

import (
	"os"
	"strings"
	"testing"
)

func versionsOf(list []Kept) string {
	var v []string
	for _, k := range list {
		v = append(v, strings.TrimSuffix(strings.TrimPrefix(k.Version, "9.9."), "-good"))
	}
	return strings.Join(v, " ")
}

func TestRetention(t *testing.T) {
	one := int64(len(candidate(t, "9.9.1-good")))
	tests := []struct {
		name     string
		versions int
		bytes    int64
		want     string
	}{
		{"default", 0, 0, "5 4 3 2"},
		{"two", 2, 0, "5 4"},
		{"one is not less than two", 1, 0, "5 4"},
		{"many", 9, 0, "5 4 3 2 1.0.0"},
		{"room for the previous one", 9, one + 10, "5 4"},
		{"room for two beside it", 9, 3 * one, "5 4 3 2"},
		{"no room at all", 0, 1, "5 4"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, func(o *Options) { o.KeepVersions, o.KeepBytes = test.versions, test.bytes })
			for _, v := range []string{"9.9.2-good", "9.9.3-good", "9.9.4-good", "9.9.5-good"} {
				b.source.offer(v, candidate(t, v))
				if _, err := b.Upgrade(t.Context(), Request{}); err != nil {
					t.Fatal(err)
				}
			}
			b.lock()
			if got := versionsOf(b.state.Kept); got != test.want {
				t.Errorf("kept %s, want %s", got, test.want)
			}
			if left, _ := os.ReadDir(b.dir + "/versions"); len(left) != len(b.state.Kept) {
				t.Errorf("on disk: %v", left)
			}
		})
	}
}

// TestRetentionKeepsAWayBack: a version in quarantine does not take the place of the one to go back to.
func TestRetentionKeepsAWayBack(t *testing.T) {
	b := newBench(t, func(o *Options) { o.KeepVersions = 2 })
	for _, v := range []string{"9.9.2-good", "9.9.3-good"} {
		b.source.offer(v, candidate(t, v))
		if _, err := b.Upgrade(t.Context(), Request{}); err != nil {
			t.Fatal(err)
		}
	}
	b.lock()
	if _, err := b.Rollback(t.Context(), Request{Manual: true}); err != nil {
		t.Fatal(err)
	}
	b.source.offer("9.9.4-good", candidate(t, "9.9.4-good"))
	if _, err := b.Upgrade(t.Context(), Request{Manual: true}); err != nil {
		t.Fatal(err)
	}
	if got := versionsOf(b.state.Kept); got != "4 2" {
		t.Errorf("kept %s", got)
	}
}

func TestRollbackOfAGoodVersion(t *testing.T) {
	b := upgraded(t, nil)
	if _, err := b.Rollback(t.Context(), Request{Manual: true, NoQuarantine: true}); err != nil {
		t.Fatal(err)
	}
	if s := b.status(); len(s.Quarantine) != 0 {
		t.Errorf("quarantine %v", s.Quarantine)
	}
}

// TestRollbackToAVersionInQuarantine: what was left may be wanted back.
func TestRollbackToAVersionInQuarantine(t *testing.T) {
	b := upgraded(t, nil)
	if _, err := b.Rollback(t.Context(), Request{Manual: true}); err != nil {
		t.Fatal(err)
	}
	_, err := b.Rollback(t.Context(), Request{Manual: true, Version: "9.9.3-good"})
	wantError(t, err, Policy, "quarantined")
	out, err := b.Rollback(t.Context(), Request{Manual: true, Version: "9.9.3-good", Force: true})
	if err != nil || out.To != "9.9.3-good" {
		t.Fatalf("%+v, %v", out, err)
	}
	if s := b.status(); len(s.Quarantine) != 1 || s.Quarantine[0].Version != "9.9.2-good" {
		t.Errorf("quarantine %v", s.Quarantine)
	}
}
