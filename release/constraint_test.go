package release

import (
	"strings"
	"testing"
)

func TestConstraint(t *testing.T) {
	for _, tc := range []struct {
		constraint string
		yes, no    string
	}{
		{"", "0.0.1 1.0.0-rc.1 9.9.9", ""},
		{">= 1.2, < 2", "1.2.0 1.2.0-rc.1 1.9.9+build", "1.1.9 2.0.0 2.0.0-rc.1"},
		{"~> 1.4", "1.4.0 1.9.0 1.5.0-beta.1", "2.0.0 1.3.9"},
		{"~> 1.4.2", "1.4.2 1.4.9", "1.5.0 1.4.1"},
		{"< 2", "1.9.9", "2.0.0 2.0.0-rc.1"},
		{"!= 1.5.0", "1.5.1", "1.5.0 1.5.0-rc.1 1.5.0+rebuilt"},
		{"1.5.0", "1.5.0", "1.5.1"},
		{" >=1.0.0 ", "1.0.0", "0.9.0"},
	} {
		c, err := ParseConstraint(tc.constraint)
		if err != nil {
			t.Fatal(err)
		}
		for want, versions := range map[bool]string{true: tc.yes, false: tc.no} {
			for _, v := range strings.Fields(versions) {
				if got := c.Allows(MustParseVersion(v)); got != want {
					t.Errorf("%q lets %s pass: %v", tc.constraint, v, got)
				}
			}
		}
		if again, err := ParseConstraint(c.String()); err != nil || again.String() != c.String() {
			t.Errorf("%q is written as %q and read as %q, %v", tc.constraint, c, again, err)
		}
	}
	some, _ := ParseConstraint("> 0")
	if some.Allows(Version{}) || !(Constraint{}).Allows(Version{}) {
		t.Error("no version passes a constraint, or does not pass none")
	}
}

// What package go-version reads otherwise than most people do, or not at all, is an error that says what is wanted.
func TestConstraintRefused(t *testing.T) {
	for constraint, says := range map[string]string{
		"^1.2":                       "want comparisons",
		"1.x":                        "want comparisons",
		">= 1 || < 3":                "want comparisons",
		">= 1.1.0-rc1":               "the channel says",
		"~> 1.2.0-rc.1":              "the channel says",
		">= 1,":                      "want comparisons",
		"latest":                     "want comparisons",
		strings.Repeat(">1,", 100):   "more than 256",
		"> 99999999999999999999.0.0": "want comparisons",
	} {
		if c, err := ParseConstraint(constraint); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %q, %v, want an error that says %q", constraint, c, err, says)
		}
	}
}

func FuzzParseConstraint(f *testing.F) {
	f.Add(">= 1.2, < 2")
	f.Add("~> 1.4.2, != 1.4.5")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseConstraint(s)
		if err != nil {
			return
		}
		again, err := ParseConstraint(c.String())
		if err != nil || again.String() != c.String() {
			t.Fatalf("%q is written as %q, then %q, %v", s, c, again, err)
		}
		c.Allows(MustParseVersion("1.2.3-rc.1"))
	})
}
