package release

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

func TestFallbacks(t *testing.T) {
	for in, want := range map[string]string{
		"linux/amd64":         "linux/amd64 linux/amd64/v1",
		"linux/amd64/v1":      "linux/amd64/v1",
		"linux/amd64/v2":      "linux/amd64/v2 linux/amd64 linux/amd64/v1",
		"linux/amd64/v4":      "linux/amd64/v4 linux/amd64/v3 linux/amd64/v2 linux/amd64 linux/amd64/v1",
		"linux/arm/v7":        "linux/arm/v7 linux/arm/v6 linux/arm/v5 linux/arm",
		"linux/arm/v6":        "linux/arm/v6 linux/arm/v5 linux/arm",
		"linux/arm":           "linux/arm",
		"linux/386":           "linux/386 linux/386/sse2 linux/386/softfloat",
		"linux/386/softfloat": "linux/386/softfloat",
		"linux/arm64":         "linux/arm64",
		"linux/arm64/v9_0":    "linux/arm64/v9_0 linux/arm64",
		"plan9/sparc/x":       "plan9/sparc/x plan9/sparc",
	} {
		p, err := ParsePlatform(in)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range p.Fallbacks() {
			got = append(got, f.String())
			if !p.Runs(f) {
				t.Errorf("%s does not run %s", p, f)
			}
			// Never upward: what is further down the list does not run what stands before it, unless it is the same build by another name.
			if back := f.Runs(p); back && f != p && GoPlatform(f.OS, f.Arch, f.Variant) != GoPlatform(p.OS, p.Arch, p.Variant) {
				t.Errorf("%s runs %s", f, p)
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %s, want %s", in, s, want)
		}
	}
	for _, pair := range [][2]string{{"linux/arm/v6", "linux/arm/v7"}, {"linux/amd64", "linux/amd64/v3"}, {"linux/arm64", "linux/arm"},
		{"linux/amd64", "darwin/amd64"}, {"linux/amd64/v3", "linux/amd64/v4"}} {
		p, _ := ParsePlatform(pair[0])
		q, _ := ParsePlatform(pair[1])
		if p.Runs(q) {
			t.Errorf("%s runs %s", p, q)
		}
	}
}

func TestBuildPlatform(t *testing.T) {
	for settings, want := range map[string]string{
		"GOOS=linux GOARCH=amd64 GOAMD64=v1":           "linux/amd64",
		"GOOS=linux GOARCH=amd64 GOAMD64=v3":           "linux/amd64/v3",
		"GOOS=linux GOARCH=amd64":                      "linux/amd64",
		"GOOS=linux GOARCH=arm GOARM=7":                "linux/arm/v7",
		"GOOS=linux GOARCH=arm GOARM=5,softfloat":      "linux/arm/v5",
		"GOOS=linux GOARCH=arm GOAMD64=v3":             "linux/arm",
		"GOOS=darwin GOARCH=arm64 GOARM64=v8.0":        "darwin/arm64",
		"GOOS=linux GOARCH=arm64 GOARM64=v9.0,lse":     "linux/arm64/v9_0_lse",
		"GOOS=linux GOARCH=386 GO386=sse2":             "linux/386",
		"GOOS=linux GOARCH=386 GO386=softfloat":        "linux/386/softfloat",
		"GOOS=linux GOARCH=mipsle GOMIPS=softfloat":    "linux/mipsle/softfloat",
		"GOOS=linux GOARCH=mips64 GOMIPS64=hardfloat":  "linux/mips64",
		"GOOS=linux GOARCH=ppc64le GOPPC64=power10":    "linux/ppc64le/power10",
		"GOOS=linux GOARCH=riscv64 GORISCV64=rva22u64": "linux/riscv64/rva22u64",
	} {
		info := &debug.BuildInfo{}
		for _, s := range strings.Fields(settings) {
			key, value, _ := strings.Cut(s, "=")
			info.Settings = append(info.Settings, debug.BuildSetting{Key: key, Value: value})
		}
		got := BuildPlatform(info)
		if got.String() != want {
			t.Errorf("%s: %s, want %s", settings, got, want)
		}
		if p, err := ParsePlatform(got.String()); err != nil || p != got {
			t.Errorf("%s: %s does not parse: %v", settings, got, err)
		}
	}
	if h := Host(); h.OS != runtime.GOOS || h.Arch != runtime.GOARCH || !h.Runs(h) {
		t.Errorf("host %s", h)
	}
}
