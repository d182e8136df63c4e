package release

import (
	"fmt"
	"strings"

	goversion "github.com/hashicorp/go-version"
)

// Constraint says which versions a host may take, in the words of package go-version: ">= 1.2, < 2", "~> 1.4". A comma
// means "and"; there is no "or". The zero Constraint allows every version.
type Constraint struct {
	list goversion.Constraints
}

// maxConstraint bounds a constraint in bytes.
const maxConstraint = 256

// ParseConstraint reads a constraint; an empty one is the zero Constraint. One that names a pre-release is refused: package
// go-version would let ">= 1.0" pass no pre-release at all, and "~> 1.2.0-rc1" no 1.2.5. Who wants pre-releases says so by the channel.
func ParseConstraint(s string) (Constraint, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return Constraint{}, nil
	}
	if len(s) > maxConstraint {
		return Constraint{}, fmt.Errorf("parse version constraint: %d bytes, more than %d", len(s), maxConstraint)
	}
	list, err := goversion.NewConstraint(s)
	if err != nil {
		return Constraint{}, fmt.Errorf(`parse version constraint %q: %w; want comparisons (=, !=, >, >=, <, <=, ~>) with commas between them, as in ">= 1.2, < 2" or "~> 1.4"`, s, err)
	}
	for _, c := range list {
		if c.Prerelease() {
			return Constraint{}, fmt.Errorf("parse version constraint %q: %q names a pre-release; the channel says whether those are taken", s, strings.TrimSpace(c.String()))
		}
	}
	return Constraint{list}, nil
}

// Allows reports whether c lets v pass. Only MAJOR.MINOR.PATCH counts: 2.0.0-rc.1 is one of 2.0.0. No version is none that passes,
// unless all do.
func (c Constraint) Allows(v Version) bool {
	if c.IsZero() {
		return true
	}
	return !v.IsZero() && c.list.Check(v.v.Core())
}

// IsZero reports whether c allows every version.
func (c Constraint) IsZero() bool { return len(c.list) == 0 }

// String returns c as ParseConstraint reads it; "" for the zero Constraint.
func (c Constraint) String() string {
	var all []string
	for _, one := range c.list {
		all = append(all, strings.TrimSpace(one.String()))
	}
	return strings.Join(all, ", ")
}
