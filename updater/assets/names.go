package assets

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/archive"
)

// ErrNone says that no file of a release is for this platform.
var ErrNone = errors.New("no file for this platform")

// AmbiguousError says that several files fit equally well.
type AmbiguousError struct {
	Platform release.Platform
	Names    []string
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%d files for %s: %s; say by its name which program is meant", len(e.Names), e.Platform, strings.Join(e.Names, ", "))
}

// Host is what a file is chosen for.
type Host struct {
	Platform release.Platform
	Libc     string   // "musl" or "gnu"; "" if that is not known
	Programs []string // names by which the program may go in file names, the best first
	Version  string   // of the release, as it may stand in names; without a "v"
}

// Choose returns the one name, of all files of a release, that is h's. A file of another program is never taken where there are files of
// one of h.Programs, for whatever platform.
func Choose(names []string, h Host) (string, error) {
	var all []parsed
	for _, n := range names {
		if p, ok := parse(n, h.Version); ok {
			all = append(all, p)
		}
	}
	all = ofProgram(all, h)
	for _, p := range h.Platform.Fallbacks() {
		if level := only(all, func(f parsed) bool { return f.platform == p }); len(level) > 0 {
			return one(level, h)
		}
	}
	if h.Platform.OS == "darwin" {
		if level := only(all, func(f parsed) bool { return f.platform == release.Platform{OS: "darwin", Arch: anyArch} }); len(level) > 0 {
			return one(level, h)
		}
	}
	return "", fmt.Errorf("%w (%s)", ErrNone, h.Platform)
}

// ofProgram keeps the files of the first program that has any; all of them, if none has.
func ofProgram(all []parsed, h Host) []parsed {
	for _, p := range h.Programs {
		words := words(p)
		if list := only(all, func(f parsed) bool { return slices.Equal(f.rest, words) }); len(list) > 0 {
			return list
		}
	}
	return all
}

// one settles what is left by the C library; the same program in several formats is no question either.
func one(level []parsed, h Host) (string, error) {
	best := 0
	for _, want := range libcs[h.Libc] {
		if list := only(level, func(f parsed) bool { return f.libc == want }); len(list) > 0 {
			level, best = list, 1
			break
		}
	}
	if best == 0 {
		return "", fmt.Errorf("%w (%s, with the C library %s)", ErrNone, h.Platform, h.Libc)
	}
	slices.SortFunc(level, func(a, b parsed) int { return slices.Index(formats, a.format) - slices.Index(formats, b.format) })
	for _, f := range level {
		if f.stem != level[0].stem || f.format == level[0].format && f.name != level[0].name {
			e := &AmbiguousError{Platform: h.Platform}
			for _, f := range level {
				e.Names = append(e.Names, f.name)
			}
			slices.Sort(e.Names)
			return "", e
		}
	}
	return level[0].name, nil
}

// libcs has, for the C library of a host, which ones a program may want, best first. A program that says nothing of it, as most that Go builds, wants
// none. A host with musl cannot start what wants glibc.
var libcs = map[string][]string{
	"musl": {"musl", "static", ""},
	"gnu":  {"gnu", "static", "", "musl"},
	"":     {"static", "", "musl", "gnu"},
}

var formats = []release.Format{release.Raw, archive.TarGzip, archive.Zip}

func only(list []parsed, keep func(parsed) bool) (kept []parsed) {
	for _, f := range list {
		if keep(f) {
			kept = append(kept, f)
		}
	}
	return kept
}

// parsed is what a file name says.
type parsed struct {
	name, stem string
	format     release.Format
	platform   release.Platform
	libc       string
	rest       []string // words that say nothing of a platform: the program
}

const anyArch = "all"

var (
	systems = map[string]string{
		"linux": "linux", "darwin": "darwin", "macos": "darwin", "mac": "darwin", "osx": "darwin", "windows": "windows", "win": "windows",
		"freebsd": "freebsd", "openbsd": "openbsd", "netbsd": "netbsd", "dragonfly": "dragonfly", "illumos": "illumos", "solaris": "solaris",
	}
	// vendors stand beside a system's name in triples, and for it where there is none.
	vendors = map[string]string{"apple": "darwin", "pc": "windows", "unknown": "", "msvc": ""}
	archs   = map[string]string{
		"amd64": "amd64", "x64": "amd64", "amd64v1": "amd64", "amd64v2": "amd64/v2", "amd64v3": "amd64/v3", "amd64v4": "amd64/v4",
		"386": "386", "i386": "386", "i686": "386", "x86": "386", "ia32": "386", "arm64": "arm64", "aarch64": "arm64",
		"arm": "arm", "armv7": "arm/v7", "armhf": "arm/v7", "armv7l": "arm/v7", "armv6": "arm/v6", "armv6l": "arm/v6", "armel": "arm/v5", "armv5": "arm/v5",
		"riscv64": "riscv64", "ppc64": "ppc64", "ppc64le": "ppc64le", "s390x": "s390x", "loong64": "loong64",
		"mips": "mips", "mipsle": "mipsle", "mips64": "mips64", "mips64le": "mips64le", "all": anyArch, "universal": anyArch,
	}
	libcWords = map[string]string{
		"musl": "musl", "musleabihf": "musl", "musleabi": "musl", "gnu": "gnu", "glibc": "gnu", "gnueabihf": "gnu", "gnueabi": "gnu", "static": "static",
	}
	variants = map[string][]string{
		"amd64": {"v1", "v2", "v3", "v4"}, "arm": {"v5", "v6", "v7"}, "arm64": {"v8"}, "386": {"sse2", "softfloat"},
		"mips": {"hardfloat", "softfloat"}, "mipsle": {"hardfloat", "softfloat"}, "mips64": {"hardfloat", "softfloat"}, "mips64le": {"hardfloat", "softfloat"},
		"ppc64": {"power8", "power9", "power10"}, "ppc64le": {"power8", "power9", "power10"}, "riscv64": {"rva20u64", "rva22u64", "rva23u64"},
	}
)

var (
	splitWords = regexp.MustCompile(`[-_.+ ]+`)
	x86        = regexp.MustCompile(`x86[-_]64`)
	// ignored are files that lie beside programs, and archives that cannot be read here.
	ignored = regexp.MustCompile(`\.(sha256|sha512|sig|asc|minisig|pem|crt|json|txt|md|yaml|yml|deb|rpm|apk|msi|dmg|pkg|appimage|snap|xz|bz2|zst|7z|rar|lz4|br|gz|tar|so|dll|dylib|a)$|\.sbom|(^|[-_.])(source|src)([-_.]|$)`)
)

func words(s string) []string {
	return slices.DeleteFunc(splitWords.Split(strings.ToLower(s), -1), func(w string) bool { return w == "" })
}

// parse reads a name. It is no program's unless it has one system and one architecture.
func parse(name, version string) (parsed, bool) {
	p := parsed{name: name, format: archive.FormatOf(name)}
	p.stem = strings.ToLower(name)
	switch p.format {
	case archive.TarGzip:
		p.stem = strings.TrimSuffix(strings.TrimSuffix(p.stem, ".tar.gz"), ".tgz")
	case archive.Zip:
		p.stem = strings.TrimSuffix(p.stem, ".zip")
	default:
		p.stem = strings.TrimSuffix(p.stem, ".exe")
	}
	if len(name) > maxName || ignored.MatchString(p.stem) || strings.ContainsAny(name, "/\\") {
		return p, false
	}
	plain := x86.ReplaceAllString(p.stem, "amd64")
	if version = strings.ToLower(version); version != "" {
		for _, v := range []string{version, strings.ReplaceAll(version, "+", "."), strings.ReplaceAll(version, "+", "-")} {
			plain = strings.Replace(strings.Replace(plain, "v"+v, "", 1), v, "", 1)
		}
	}
	return p, p.read(words(plain))
}

// maxName is the longest file name, in bytes, that is looked at.
const maxName = 255

func (p *parsed) read(list []string) bool {
	var systemsFound, archsFound, hints, variant []string
	for _, w := range list {
		switch vendor, isVendor := vendors[w]; {
		case systems[w] != "":
			systemsFound = append(systemsFound, systems[w])
		case archs[w] != "":
			archsFound = append(archsFound, archs[w])
		case libcWords[w] != "":
			p.libc = libcWords[w]
		case w == "win32" || w == "win64":
			hints = append(hints, "windows")
			archsFound = append(archsFound, map[string]string{"win32": "386", "win64": "amd64"}[w])
		case isVendor:
			hints = append(hints, vendor)
		case isVariant(w):
			variant = append(variant, w)
		default:
			p.rest = append(p.rest, w)
		}
	}
	if len(systemsFound) == 0 {
		systemsFound = slices.DeleteFunc(hints, func(s string) bool { return s == "" })
	}
	system, ok1 := same(systemsFound)
	arch, ok2 := same(archsFound)
	if !ok1 || !ok2 || len(variant) > 1 {
		return false
	}
	arch, level, _ := strings.Cut(arch, "/")
	if level == "" && len(variant) == 1 && slices.Contains(variants[arch], variant[0]) {
		level = variant[0]
	} else {
		p.rest = append(p.rest, variant...) // it says nothing of this architecture
	}
	p.platform = release.GoPlatform(system, arch, strings.TrimPrefix(level, armPrefix(arch)))
	if arch == "arm64" && level == "v8" {
		p.platform.Variant = ""
	}
	return true
}

// armPrefix is what stands in names before the numbers that GOARM holds.
func armPrefix(arch string) string {
	if arch == "arm" {
		return "v"
	}
	return ""
}

func isVariant(w string) bool {
	for _, list := range variants {
		if slices.Contains(list, w) {
			return true
		}
	}
	return false
}

// same returns the one word that list holds, however often.
func same(list []string) (string, bool) {
	list = slices.Compact(slices.Sorted(slices.Values(list)))
	if len(list) != 1 {
		return "", false
	}
	return list[0], true
}
