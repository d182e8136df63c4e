package release

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func testIndex(t testing.TB, versions ...string) *Index {
	t.Helper()
	d, err := ParseDigest(helloDigest)
	if err != nil {
		t.Fatal(err)
	}
	ix := &Index{Schema: IndexSchema, App: "hello", Channel: "stable", Platform: Platform{OS: "linux", Arch: "amd64"}}
	for _, v := range versions {
		ix.Put(Release{Version: MustParseVersion(v), Artifact: Artifact{Length: 5, SHA256: d, Full: Payload{Path: v + "/hello", Length: 5, SHA256: d}}})
	}
	return ix
}

func TestIndexKeepsReleasesNewestFirst(t *testing.T) {
	ix := testIndex(t, "1.0.0", "1.2.0", "1.1.0", "1.2.0-rc.1", "1.2.0")
	b, err := ix.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseIndex(b)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, r := range got.Releases {
		order = append(order, r.Version.String())
	}
	if s := strings.Join(order, " "); s != "1.2.0 1.2.0-rc.1 1.1.0 1.0.0" {
		t.Errorf("order %s", s)
	}
	if r, err := got.Latest(); err != nil || r.Version.String() != "1.2.0" {
		t.Errorf("Latest = %v, %v", r.Version, err)
	}
	if r, err := got.Find(MustParseVersion("1.1.0")); err != nil || r.Artifact.Full.Path != "1.1.0/hello" {
		t.Errorf("Find = %+v, %v", r, err)
	}
	if _, err := got.Find(MustParseVersion("3.0.0")); !errors.Is(err, ErrNoRelease) {
		t.Errorf("Find of a missing one: %v", err)
	}
	if _, err := testIndex(t).Latest(); !errors.Is(err, ErrNoRelease) {
		t.Errorf("Latest of none: %v", err)
	}
}

func TestParseIndexRefuses(t *testing.T) {
	good, err := testIndex(t, "1.0.0").Marshal()
	if err != nil {
		t.Fatal(err)
	}
	swap := func(old, new string) []byte { return bytes.Replace(good, []byte(old), []byte(new), 1) }
	cases := map[string][]byte{
		"nothing":          nil,
		"null":             []byte("null"),
		"a list":           []byte("[]"),
		"trailing bytes":   append(bytes.Clone(good), '{'),
		"truncated":        good[:len(good)/2],
		"too long":         append(bytes.Clone(good), bytes.Repeat([]byte(" "), MaxIndexSize)...),
		"newer schema":     swap(`"schema": 1`, `"schema": 2`),
		"no schema":        swap(`"schema"`, `"other"`),
		"bad app":          swap(`"hello"`, `"../hello"`),
		"bad channel":      swap(`"stable"`, `""`),
		"bad platform":     swap(`linux/amd64`, `linux`),
		"no platform":      swap(`"platform"`, `"other"`),
		"no version":       swap(`"version": "1.0.0"`, `"version": ""`),
		"bad version":      swap(`"version": "1.0.0"`, `"version": "one"`),
		"no length":        swap(`"length": 5`, `"length": 0`),
		"raw is another":   bytes.Replace(good, []byte(`"length": 5,`), []byte(`"length": 6,`), 1),
		"bad rollout":      swap(`"artifact"`, `"rollout": {"salt": "", "curve": []}, "artifact"`),
		"resumed below 0":  swap(`"artifact"`, `"resumed": -1, "artifact"`),
		"delta of nothing": swap(`"full"`, `"deltas": [{"from": "", "path": "d", "length": 1, "sha256": "`+helloDigest+`", "format": "delta"}], "full"`),
		"delta twice":      swap(`"full"`, `"deltas": [`+strings.TrimSuffix(strings.Repeat(`{"from": "`+helloDigest+`", "path": "d", "length": 1, "sha256": "`+helloDigest+`", "format": "delta"},`, 2), ",")+`], "full"`),
		"bad format":       swap(`"full": {`, `"full": {"format": "ZIP!",`),
		"negative length":  swap(`"length": 5`, `"length": -5`),
		"huge length":      swap(`"length": 5`, `"length": 1e400`),
		"no sha256":        swap(helloDigest, ""),
		"short sha256":     swap(helloDigest, "2cf2"),
		"path goes up":     swap(`1.0.0/hello`, `../hello`),
		"path goes up in":  swap(`1.0.0/hello`, `a/../hello`),
		"absolute path":    swap(`1.0.0/hello`, `/etc/passwd`),
		"another host":     swap(`1.0.0/hello`, `//evil.example/hello`),
		"path with query":  swap(`1.0.0/hello`, `a?b`),
		"path with escape": swap(`1.0.0/hello`, `a%2e%2e/b`),
		"long path":        swap(`1.0.0/hello`, strings.Repeat("a", maxPath+1)),
		"version twice":    bytes.Replace(good, []byte(`"releases": [`), []byte(`"releases": [`+string(good[bytes.IndexByte(good, '[')+1:bytes.LastIndexByte(good, ']')])+`,`), 1),
	}
	if _, err := ParseIndex(good); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for name, b := range cases {
		if bytes.Equal(b, good) {
			t.Errorf("%s: the case changes nothing", name)
		}
		if ix, err := ParseIndex(b); err == nil {
			t.Errorf("%s: accepted as %+v", name, ix)
		}
	}
	newer := swap(`"schema": 1`, `"schema": 1, "later": {"a": 1}`)
	if _, err := ParseIndex(newer); err != nil {
		t.Errorf("an unknown field: %v", err)
	}
}

func TestHashedPath(t *testing.T) {
	d, _ := ParseDigest(helloDigest)
	for in, want := range map[string]string{
		"hello": helloDigest + ".hello", "1.0.0/hello": "1.0.0/" + helloDigest + ".hello", "a/b/c": "a/b/" + helloDigest + ".c",
	} {
		if got := HashedPath(in, d); got != want {
			t.Errorf("HashedPath(%q) = %q", in, got)
		}
	}
	if got := IndexPath("stable", Platform{OS: "linux", Arch: "amd64"}); got != "stable/linux-amd64.json" {
		t.Errorf("IndexPath = %q", got)
	}
}

func FuzzParseIndex(f *testing.F) {
	b, err := testIndex(f, "1.0.0", "1.1.0").Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"schema":1,"releases":[null]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		ix, err := ParseIndex(b)
		if err != nil {
			return
		}
		out, err := ix.Marshal()
		if err != nil {
			t.Fatalf("accepted, cannot be written: %v", err)
		}
		if _, err := ParseIndex(out); err != nil {
			t.Fatalf("written, cannot be read: %v", err)
		}
	})
}
