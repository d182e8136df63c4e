package release

import (
	"bytes"
	"strings"
	"testing"
)

func testBrake() *Brake {
	return &Brake{Schema: IndexSchema, App: "hello", Entries: []BrakeEntry{
		{Serial: 1, Version: MustParseVersion("1.1.0"), Action: Halt, Stop: Stop{Reason: "slow", Since: start}},
		{Serial: 4, Channel: "beta", Version: MustParseVersion("1.2.0"), Action: Yank, Stop: Stop{Reason: "loses data", Since: start}},
		{Serial: 5, Version: MustParseVersion("1.0.0"), Action: "freeze", Stop: Stop{Since: start}},
	}}
}

func TestBrakeApply(t *testing.T) {
	b, err := testBrake().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParseBrake(b)
	if err != nil {
		t.Fatal(err)
	}
	stopped := func(ix *Index, version string) string {
		k.Apply(ix)
		r, err := ix.Find(MustParseVersion(version))
		if err != nil {
			t.Fatal(err)
		}
		var s []string
		if r.Halted != nil {
			s = append(s, "halted", r.Halted.Reason)
		}
		if r.Yanked != nil {
			s = append(s, "yanked", r.Yanked.Reason)
		}
		return strings.TrimSpace(strings.Join(s, " "))
	}
	beta := testIndex(t, "1.1.0", "1.2.0")
	beta.Channel = "beta"
	resumed := testIndex(t, "1.1.0")
	resumed.Releases[0].Resumed = 1
	early := testIndex(t, "1.1.0")
	early.Releases[0].Resumed = 0
	for _, c := range []struct {
		name    string
		ix      *Index
		version string
		want    string
	}{
		{"halted on every channel", testIndex(t, "1.1.0"), "1.1.0", "halted slow"},
		{"yanked on its channel", beta, "1.2.0", "yanked loses data"},
		{"not on another", testIndex(t, "1.2.0"), "1.2.0", ""},
		{"resumed since", resumed, "1.1.0", ""},
		{"not resumed", early, "1.1.0", "halted slow"},
		{"an action of the future", testIndex(t, "1.0.0"), "1.0.0", "halted"},
	} {
		if got := stopped(c.ix, c.version); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestParseBrakeRefuses(t *testing.T) {
	good, err := testBrake().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	swap := func(old, new string) []byte {
		if !bytes.Contains(good, []byte(old)) {
			t.Fatalf("%q is not in it", old)
		}
		return bytes.Replace(good, []byte(old), []byte(new), 1)
	}
	for name, b := range map[string][]byte{
		"nothing":        nil,
		"null":           []byte("null"),
		"too long":       append(bytes.Clone(good), bytes.Repeat([]byte(" "), MaxBrakeSize)...),
		"newer schema":   swap(`"schema": 1`, `"schema": 2`),
		"bad app":        swap(`"hello"`, `"a/b"`),
		"no serial":      swap(`"serial": 1`, `"serial": 0`),
		"serial twice":   swap(`"serial": 5`, `"serial": 4`),
		"no version":     swap(`"1.1.0"`, `""`),
		"bad channel":    swap(`"beta"`, `"../beta"`),
		"a long reason":  swap(`"slow"`, `"`+strings.Repeat("a", maxReason+1)+`"`),
		"trailing bytes": append(bytes.Clone(good), '{'),
	} {
		if _, err := ParseBrake(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParseBrake(f *testing.F) {
	good, err := testBrake().Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ParseBrake(b)
		if err != nil {
			return
		}
		again, err := k.Marshal()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if _, err := ParseBrake(again); err != nil {
			t.Fatal(err)
		}
	})
}
