package release

import (
	"encoding"
	"fmt"
	"strings"

	goversion "github.com/hashicorp/go-version"
)

// Version is a semantic version (major.minor.patch, an optional pre-release and optional build metadata).
// The zero Version is "no version": it sorts below every other and prints as "".
type Version struct {
	v *goversion.Version
}

var (
	_ encoding.TextMarshaler   = Version{}
	_ encoding.TextUnmarshaler = (*Version)(nil)
)

// ParseVersion reads a strict semantic version; one leading "v" is dropped. It refuses what package
// go-version would guess at (missing segments, "1.2.3beta"): this is a trust boundary. Numbered
// pre-releases need a dot ("rc.10"), or the tenth sorts below the ninth, as semver has it.
func ParseVersion(s string) (Version, error) {
	v, err := goversion.NewSemver(strings.TrimPrefix(s, "v"))
	if err != nil || strings.Count(strings.SplitN(strings.SplitN(s, "-", 2)[0], "+", 2)[0], ".") != 2 {
		return Version{}, fmt.Errorf("parse version %q: not of the form MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]", s)
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
	return v.v.Compare(o.v)
}

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
