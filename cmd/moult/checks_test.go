package main

import (
	"debug/buildinfo"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/moult-go/moult/release"
)

// TestChecksAreDocumented: docs/howto/publishing.md has a line for each check, in order.
func TestChecksAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/howto/publishing.md")
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, m := range regexp.MustCompile(`(?m)^\| ([a-z]+) \| `).FindAllStringSubmatch(string(page), -1) {
		if m[1] != "check" {
			named = append(named, m[1])
		}
	}
	if !slices.Equal(named, checkNames()) {
		t.Errorf("the page has %v, the program %v", named, checkNames())
	}
}

func TestStampedVersions(t *testing.T) {
	for flags, want := range map[string][]string{
		"": nil, "-s -w": nil, "-X main.commit=abc": nil, "-X main.goVersion=go1.26.0": nil,
		"-s -w -X main.version=1.4.0":                                    {"1.4.0"},
		"-X=example.com/a/b.Version=v1.4.0 -X main.date=now":             {"v1.4.0"},
		`-X 'main.appVersion=1.4.0' -X "example.com/x.BuildVersion=2.0"`: {"1.4.0", "2.0"},
	} {
		if got := stampedVersions(flags); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", flags, got, want)
		}
	}
}

// TestBuildSettings: what cannot be built here in a second.
func TestBuildSettings(t *testing.T) {
	linux := release.Platform{OS: "linux", Arch: "amd64"}
	with := func(settings ...string) *subject {
		s := &subject{platform: linux, executable: executable{platform: linux, info: &buildinfo.BuildInfo{}}}
		for i := 0; i < len(settings); i += 2 {
			s.info.Settings = append(s.info.Settings, debug.BuildSetting{Key: settings[i], Value: settings[i+1]})
		}
		s.built = release.BuildPlatform(s.info)
		return s
	}
	main := with()
	main.info.Main.Version = "v1.3.9-0.20261101000000-abcdefabcdef"
	for name, tc := range map[string]struct {
		got  verdict
		want outcome
	}{
		"race":          {checkDebug(t.Context(), nil, with("-race", "true")), warned},
		"cover":         {checkDebug(t.Context(), nil, with("-cover", "true")), warned},
		"all=-N":        {checkDebug(t.Context(), nil, with("-gcflags", "all=-N -l")), warned},
		"other gcflags": {checkDebug(t.Context(), nil, with("-gcflags", "-m -Nothing")), passed},
		"built for v3":  {checkPlatform(t.Context(), nil, with("GOOS", "linux", "GOARCH", "amd64", "GOAMD64", "v3")), failed},
		"built for v1":  {checkPlatform(t.Context(), nil, with("GOOS", "linux", "GOARCH", "amd64", "GOAMD64", "v1")), passed},
		"built for arm": {checkPlatform(t.Context(), nil, with("GOOS", "linux", "GOARCH", "arm")), failed},
		"modified":      {checkVCS(t.Context(), nil, with("vcs.revision", "abc", "vcs.modified", "true")), warned},
		"clean":         {checkVCS(t.Context(), nil, with("vcs.revision", "abc", "vcs.modified", "false")), passed},
		"module's":      {checkVersion(t.Context(), &inspection{version: release.MustParseVersion("1.4.0")}, main), warned},
	} {
		if tc.got.Outcome != tc.want || tc.got.Outcome == failed && tc.got.Hint == "" {
			t.Errorf("%s: %+v, want %s", name, tc.got, tc.want)
		}
	}
	two := &inspection{subjects: []*subject{with(), with()}}
	two.subjects[0].info.GoVersion, two.subjects[1].info.GoVersion = "go1.26.7", "go1.26.8"
	if got := checkToolchain(t.Context(), two); got[0].Outcome != warned {
		t.Errorf("two toolchains: %+v", got)
	}
}

// TestMachine: this machine runs what it was built for.
func TestMachine(t *testing.T) {
	if m := machine(); !m.Runs(release.Host()) {
		t.Errorf("a %s does not run %s", m, release.Host())
	}
}
