package release

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestParseVersion(t *testing.T) {
	good := map[string]string{
		"1.2.3": "1.2.3", "v1.2.3": "1.2.3", "0.0.0": "0.0.0", "1.2.3-rc.10": "1.2.3-rc.10",
		"1.2.3+build.5": "1.2.3+build.5", "1.2.3-a-b.0+x-y": "1.2.3-a-b.0+x-y",
	}
	for in, want := range good {
		v, err := ParseVersion(in)
		if err != nil || v.String() != want {
			t.Errorf("ParseVersion(%q) = %q, %v; want %q", in, v, err, want)
		}
	}
	bad := []string{
		"", "v", "dev", "1", "1.2", "1.2.3.4", "vv1.2.3", "01.2.3", "1.02.3", "1.2.3beta", "1.2.3-", "1.2.3-01", "1.2.3+",
		"1.2.3-a..b", " 1.2.3", "1.2.3 ", "1.2.3\n", "-1.2.3", "1.2.3-é", "1.2.3/..", "99999999999999999999.0.0",
		"1.2.3-" + strings.Repeat("a", maxVersion),
	}
	for _, in := range bad {
		if v, err := ParseVersion(in); err == nil {
			t.Errorf("ParseVersion(%q) = %q, want an error", in, v)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	// Ascending; the pre-releases are the ladder of semver.org item 11 and the cases that go-version gets wrong.
	ladder := []string{
		"", "0.9.9", "1.0.0--5", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
		"1.0.0-rc.9", "1.0.0-rc.10", "1.0.0-rc.99999999999999999999", "1.0.0", "1.0.1-0", "1.0.1", "1.2.0", "1.10.0", "2.0.0",
	}
	var vs []Version
	for _, s := range ladder {
		var v Version
		if err := v.UnmarshalText([]byte(s)); err != nil {
			t.Fatal(err)
		}
		vs = append(vs, v)
	}
	for i, a := range vs {
		for j, b := range vs {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := a.Compare(b); got != want {
				t.Errorf("%q.Compare(%q) = %d, want %d", a, b, got, want)
			}
		}
	}
	if MustParseVersion("1.0.0+a").Compare(MustParseVersion("1.0.0+b")) != 0 {
		t.Error("build metadata counts")
	}
}

func TestVersionJSON(t *testing.T) {
	var got struct{ A, B Version }
	if err := json.Unmarshal([]byte(`{"A":"1.2.3-rc.1","B":""}`), &got); err != nil {
		t.Fatal(err)
	}
	if got.A.Prerelease() != "rc.1" || !got.B.IsZero() {
		t.Errorf("got %+v", got)
	}
	if b, _ := json.Marshal(got); string(b) != `{"A":"1.2.3-rc.1","B":""}` {
		t.Errorf("written as %s", b)
	}
}

func FuzzParseVersion(f *testing.F) {
	f.Add("v1.2.3-rc.1+b")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVersion(s)
		if err != nil {
			return
		}
		again, err := ParseVersion(v.String())
		if err != nil || again.Compare(v) != 0 || strings.ContainsAny(v.String(), "/\\ \n") {
			t.Fatalf("%q reads as %q, then %q, %v", s, v, again, err)
		}
	})
}

func TestSameMinor(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want bool
	}{{"1.4.0", "1.4.9", true}, {"1.4.0", "1.5.0-rc.1", false}, {"1.5.0", "1.5.0-rc.1", true}, {"1.4.0", "2.4.0", false}} {
		if got := MustParseVersion(tc.a).SameMinor(MustParseVersion(tc.b)); got != tc.want {
			t.Errorf("%s, %s: %v", tc.a, tc.b, got)
		}
	}
	if (Version{}).SameMinor(Version{}) {
		t.Error("no version is no patch of anything")
	}
}
