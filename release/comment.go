package release

import (
	"fmt"
	"strings"
)

// TrustedComment is what a signature says about its file: minisign itself binds bytes, not what they are for, so that
// without it a good signature of an old version, of another platform or of another program would pass.
type TrustedComment struct {
	App      string
	Version  Version
	Platform Platform
	SHA256   Digest // of the file
}

// ChecksumsComment is what a signature says about a file of checksums, which speaks for all platforms of a release. It is a type
// of its own, so that neither kind of signature passes for the other.
type ChecksumsComment struct {
	App     string
	Version Version
	SHA256  Digest // of the file of checksums
}

const maxComment = 1024

// ParseTrustedComment reads
//
//	app:NAME version:V platform:os/arch sha256:HEX
//
// The four fields are parted by one space each and stand in any order. Each must be there exactly once; a field that is
// unknown, an empty value, a leading "v" or any other space is an error. All errors match ErrBadComment.
func ParseTrustedComment(s string) (TrustedComment, error) {
	f, err := parseFields(s, "app", "version", "platform", "sha256")
	return TrustedComment{f.app, f.version, f.platform, f.sha256}, err
}

// ParseChecksumsComment reads
//
//	app:NAME version:V sha256:HEX
//
// by the rules of ParseTrustedComment.
func ParseChecksumsComment(s string) (ChecksumsComment, error) {
	f, err := parseFields(s, "app", "version", "sha256")
	return ChecksumsComment{f.app, f.version, f.sha256}, err
}

// fields is all that a comment may hold.
type fields struct {
	app      string
	version  Version
	platform Platform
	sha256   Digest
}

// parseFields reads a comment that has exactly the fields of these names.
func parseFields(s string, names ...string) (fields, error) {
	var f fields
	if len(s) > maxComment {
		return f, fmt.Errorf("%w: %d bytes", ErrBadComment, len(s))
	}
	left := make(map[string]bool)
	for _, n := range names {
		left[n] = true
	}
	for field := range strings.SplitSeq(s, " ") {
		key, value, ok := strings.Cut(field, ":")
		if !ok || !left[key] {
			return fields{}, fmt.Errorf("%w: field %.80q in %.300q: no value, there twice, or not one of %v", ErrBadComment, field, s, names)
		}
		delete(left, key)
		if err := f.set(key, value); err != nil {
			return fields{}, fmt.Errorf("%w: %w", ErrBadComment, err)
		}
	}
	if len(left) > 0 {
		return fields{}, fmt.Errorf("%w: %.300q: want each of %v", ErrBadComment, s, names)
	}
	return f, nil
}

func (f *fields) set(key, value string) (err error) {
	switch key {
	case "app":
		f.app, err = value, CheckName("application", value)
	case "version":
		if f.version, err = ParseVersion(value); err == nil && strings.HasPrefix(value, "v") {
			err = fmt.Errorf("version %q: written with a v", value)
		}
	case "platform":
		f.platform, err = ParsePlatform(value)
	case "sha256":
		f.sha256, err = ParseDigest(value)
	}
	return err
}

// String is the form that ParseTrustedComment reads.
func (c TrustedComment) String() string {
	return fmt.Sprintf("app:%s version:%s platform:%s sha256:%s", c.App, c.Version, c.Platform, c.SHA256)
}

// String is the form that ParseChecksumsComment reads.
func (c ChecksumsComment) String() string {
	return fmt.Sprintf("app:%s version:%s sha256:%s", c.App, c.Version, c.SHA256)
}
