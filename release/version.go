package release

import (
	"cmp"
	"encoding"
	"fmt"
	"regexp"
	"slices"
	"strings"

	goversion "github.com/hashicorp/go-version"
)

// Version is a semantic version (major.minor.patch, an optional pre-release and optional build metadata).
// The zero Version is "no version": it sorts below every other and prints as "". Versions are compared with Compare, not ==.
type Version struct {
	v *goversion.Version
}

var (
	_ encoding.TextMarshaler   = Version{}
	_ encoding.TextUnmarshaler = (*Version)(nil)
)

// semver is the grammar of semver.org 2.0.0, with numbers short enough not to overflow.
var semver = regexp.MustCompile(`^(0|[1-9][0-9]{0,9})\.(0|[1-9][0-9]{0,9})\.(0|[1-9][0-9]{0,9})` +
	`(-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?` +
	`(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?$`)

// maxVersion bounds a version in bytes: it becomes part of file names and of messages.
const maxVersion = 128

// ParseVersion reads a strict semantic version; one leading "v" is dropped. It refuses what package
// go-version would guess at (missing segments, "1.2.3beta", leading zeros): this is a trust boundary. Numbered
// pre-releases need a dot ("rc.10"), or the tenth sorts below the ninth, as semver has it.
func ParseVersion(s string) (Version, error) {
	t := strings.TrimPrefix(s, "v")
	if len(t) > maxVersion || !semver.MatchString(t) {
		return Version{}, fmt.Errorf("parse version %.80q: not of the form MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]", s)
	}
	v, err := goversion.NewSemver(t)
	if err != nil {
		return Version{}, fmt.Errorf("parse version %.80q: %w", s, err)
	}
	return Version{v}, nil
}

// MustParseVersion is ParseVersion for constants; it panics where that returns an error.
func MustParseVersion(s string) Version {
	v, err := ParseVersion(s)
	if err != nil {
		panic(err)
	}
	return v
}

// IsZero reports whether v is no version at all.
func (v Version) IsZero() bool { return v.v == nil }

// Compare returns -1, 0 or +1 as v is older than, equal to or newer than o. Build metadata does not count.
func (v Version) Compare(o Version) int {
	switch {
	case v.v == nil && o.v == nil:
		return 0
	case v.v == nil:
		return -1
	case o.v == nil:
		return 1
	}
	// Not Core().Compare: that prints and parses both again, which is most of the time that a choice takes.
	if c := slices.Compare(v.v.Segments64(), o.v.Segments64()); c != 0 {
		return c
	}
	return comparePrerelease(v.v.Prerelease(), o.v.Prerelease())
}

// SameMinor reports whether v and o are patches of one minor version: 1.4.0 and 1.4.9 are.
func (v Version) SameMinor(o Version) bool {
	return v.v != nil && o.v != nil && slices.Equal(v.v.Segments64()[:2], o.v.Segments64()[:2])
}

// comparePrerelease orders as semver.org item 11 has it. go-version does not: it puts "rc" above "rc.beta", and reads "-5"
// as a negative number.
func comparePrerelease(a, b string) int {
	if a == "" || b == "" {
		return cmp.Compare(min(len(b), 1), min(len(a), 1)) // a release is above its pre-releases
	}
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(x, y string) int {
		xn, yn := isNumber(x), isNumber(y)
		switch {
		case xn && yn:
			return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)) // no leading zeros
		case xn:
			return -1
		case yn:
			return 1
		}
		return cmp.Compare(x, y)
	})
}

func isNumber(s string) bool { return strings.Trim(s, "0123456789") == "" }

// Prerelease returns what stands between "-" and "+", without either.
func (v Version) Prerelease() string {
	if v.v == nil {
		return ""
	}
	return v.v.Prerelease()
}

// String returns the version without a leading "v".
func (v Version) String() string {
	if v.v == nil {
		return ""
	}
	return v.v.String()
}

// MarshalText makes a Version a plain string in JSON.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what MarshalText wrote; an empty text is the zero Version.
func (v *Version) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*v = Version{}
		return nil
	}
	p, err := ParseVersion(string(b))
	if err != nil {
		return err
	}
	*v = p
	return nil
}
