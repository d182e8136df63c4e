package release

import (
	"fmt"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
)

// Platform names what an executable runs on: an operating system and an architecture in Go's own words
// (GOOS, GOARCH), and an optional variant ("v7" for arm, "v3" for amd64).
type Platform struct {
	OS, Arch, Variant string
}

var platformWord = regexp.MustCompile(`^[a-z0-9_]{1,16}$`)

// Host is the platform this program was built for, with the variant that it was built for. What its processor could run beyond
// that does not count: a disk may be moved to a lesser one, and a program that was installed there still starts.
func Host() Platform {
	p := Platform{OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		if built := BuildPlatform(info); built.OS == p.OS && built.Arch == p.Arch {
			p.Variant = built.Variant
		}
	}
	return p
}

// ParsePlatform reads "os/arch" or "os/arch/variant".
func ParsePlatform(s string) (Platform, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 2 && len(parts) != 3 {
		return Platform{}, fmt.Errorf("parse platform %q: not of the form os/arch[/variant]", s)
	}
	for _, w := range parts {
		if !platformWord.MatchString(w) {
			return Platform{}, fmt.Errorf("parse platform %q: bad word %q", s, w)
		}
	}
	p := Platform{OS: parts[0], Arch: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}

// String returns "os/arch" or "os/arch/variant".
func (p Platform) String() string { return p.join("/") }

// FileName returns the platform as one file name, "os-arch" or "os-arch-variant".
func (p Platform) FileName() string { return p.join("-") }

func (p Platform) join(sep string) string {
	s := p.OS + sep + p.Arch
	if p.Variant != "" {
		s += sep + p.Variant
	}
	return s
}

// MarshalText makes a Platform a plain string in JSON.
func (p Platform) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (p *Platform) UnmarshalText(b []byte) error {
	q, err := ParsePlatform(string(b))
	if err != nil {
		return err
	}
	*p = q
	return nil
}
