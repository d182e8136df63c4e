package release

import (
	"runtime/debug"
	"slices"
	"strings"
)

// ladders has, for each architecture, the variants in the order in which a host takes one for want of another: each runs
// wherever those before it run. "" is what Go builds unless told otherwise, but for arm, where it is a program of which
// nobody said more. Other architectures have no order that is known here.
var ladders = map[string][]string{
	"amd64":    {"v4", "v3", "v2", "", "v1"},
	"arm":      {"v7", "v6", "v5", ""},
	"386":      {"", "sse2", "softfloat"},
	"mips":     {"", "hardfloat", "softfloat"},
	"mipsle":   {"", "hardfloat", "softfloat"},
	"mips64":   {"", "hardfloat", "softfloat"},
	"mips64le": {"", "hardfloat", "softfloat"},
	"ppc64":    {"power10", "power9", "", "power8"},
	"ppc64le":  {"power10", "power9", "", "power8"},
	"riscv64":  {"rva23u64", "rva22u64", "", "rva20u64"},
}

// Fallbacks returns the platforms whose executables run on p, the best one first: p itself, the variants below it, never one
// above it. A release for the first of them that a feed has is the one to take.
func (p Platform) Fallbacks() []Platform {
	ladder := ladders[p.Arch]
	at := slices.Index(ladder, p.Variant)
	if at < 0 {
		ladder, at = []string{p.Variant, ""}, 0
		if p.Variant == "" {
			ladder = ladder[:1]
		}
	}
	var list []Platform
	for _, v := range ladder[at:] {
		list = append(list, Platform{OS: p.OS, Arch: p.Arch, Variant: v})
	}
	return list
}

// Runs reports whether executables for q run on p: q is one of p's Fallbacks.
func (p Platform) Runs(q Platform) bool { return slices.Contains(p.Fallbacks(), q) }

// variants names, for each architecture, the build setting that holds its variant, and the value that Go builds for by default.
var variants = map[string]struct{ setting, standard string }{
	"amd64":    {"GOAMD64", "v1"},
	"arm":      {"GOARM", ""},
	"arm64":    {"GOARM64", "v8.0"},
	"386":      {"GO386", "sse2"},
	"mips":     {"GOMIPS", "hardfloat"},
	"mipsle":   {"GOMIPS", "hardfloat"},
	"mips64":   {"GOMIPS64", "hardfloat"},
	"mips64le": {"GOMIPS64", "hardfloat"},
	"ppc64":    {"GOPPC64", "power8"},
	"ppc64le":  {"GOPPC64", "power8"},
	"riscv64":  {"GORISCV64", "rva20u64"},
}

// GoPlatform makes a Platform of Go's own words: GOOS, GOARCH, and what the variable of that architecture (GOAMD64, GOARM, …) is
// set to; "" if that is not known. What Go builds for by default has no variant: "v1" of amd64 is "linux/amd64".
func GoPlatform(goos, goarch, variant string) Platform {
	p := Platform{OS: goos, Arch: goarch}
	switch {
	case variant == "" || variant == variants[goarch].standard:
	case goarch == "arm":
		version, _, _ := strings.Cut(variant, ",") // "7,hardfloat"
		p.Variant = "v" + version
	default:
		p.Variant = strings.NewReplacer(".", "_", ",", "_").Replace(variant) // "v9.0,lse"
	}
	return p
}

// BuildPlatform is what an executable was built for, as its build information says. Words that are missing there are "".
func BuildPlatform(info *debug.BuildInfo) Platform {
	setting := func(key string) string {
		for _, s := range info.Settings {
			if s.Key == key {
				return s.Value
			}
		}
		return ""
	}
	arch := setting("GOARCH")
	return GoPlatform(setting("GOOS"), arch, setting(variants[arch].setting))
}
