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

const maxComment = 1024

// ParseTrustedComment reads
//
//	app:NAME version:V platform:os/arch sha256:HEX
//
// The four fields are parted by one space each and stand in any order. Each must be there exactly once; a field that is
// unknown, an empty value, a leading "v" or any other space is an error. All errors match ErrBadComment.
func ParseTrustedComment(s string) (TrustedComment, error) {
	var c TrustedComment
	if len(s) > maxComment {
		return c, fmt.Errorf("%w: %d bytes", ErrBadComment, len(s))
	}
	seen := make(map[string]bool)
	for field := range strings.SplitSeq(s, " ") {
		key, value, ok := strings.Cut(field, ":")
		if !ok || seen[key] {
			return TrustedComment{}, fmt.Errorf("%w: field %.80q in %.300q: no value, or there twice", ErrBadComment, field, s)
		}
		seen[key] = true
		if err := c.set(key, value); err != nil {
			return TrustedComment{}, fmt.Errorf("%w: %w", ErrBadComment, err)
		}
	}
	if len(seen) != 4 {
		return TrustedComment{}, fmt.Errorf("%w: %.300q: want app, version, platform and sha256", ErrBadComment, s)
	}
	return c, nil
}

func (c *TrustedComment) set(key, value string) (err error) {
	switch key {
	case "app":
		c.App, err = value, CheckName("application", value)
	case "version":
		if c.Version, err = ParseVersion(value); err == nil && strings.HasPrefix(value, "v") {
			err = fmt.Errorf("version %q: written with a v", value)
		}
	case "platform":
		c.Platform, err = ParsePlatform(value)
	case "sha256":
		c.SHA256, err = ParseDigest(value)
	default:
		err = fmt.Errorf("unknown field %.80q", key)
	}
	return err
}

// String is the form that ParseTrustedComment reads.
func (c TrustedComment) String() string {
	return fmt.Sprintf("app:%s version:%s platform:%s sha256:%s", c.App, c.Version, c.Platform, c.SHA256)
}
