package updater

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const accessACL = "system.posix_acl_access"

// ofContent are attributes that vouch for the bytes of a file: those of the old one would be wrong for the new one. Where the kernel wants
// them for execution, the proof fails.
var ofContent = []string{"security.ima", "security.evm"}

// copyAttributes copies extended attributes that the new file does not have with the same value already; the
// name is that of the one that failed. A label that the directory gives anyway is therefore no obstacle, and an ACL that it gives beyond
// those of the old file is taken away.
func copyAttributes(from, to *os.File) (name string, err error) {
	src, dst := int(from.Fd()), int(to.Fd())
	names, err := listAttributes(src)
	if err != nil {
		return "list", err
	}
	for _, name := range names {
		if slices.Contains(ofContent, name) {
			continue
		}
		want, err := readAll(func(b []byte) (int, error) { return unix.Fgetxattr(src, name, b) })
		if err != nil {
			return name, err
		}
		have, err := readAll(func(b []byte) (int, error) { return unix.Fgetxattr(dst, name, b) })
		if err == nil && bytes.Equal(have, want) {
			continue
		}
		if err := unix.Fsetxattr(dst, name, want, 0); err != nil {
			return name, err
		}
	}
	if slices.Contains(names, accessACL) {
		return "", nil
	}
	if err := unix.Fremovexattr(dst, accessACL); err != nil && !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.ENOTSUP) {
		return accessACL, err
	}
	return "", nil
}

// listAttributes returns the names of what is there; none where the file system knows none.
func listAttributes(fd int) ([]string, error) {
	b, err := readAll(func(b []byte) (int, error) { return unix.Flistxattr(fd, b) })
	if err != nil && !errors.Is(err, unix.ENOTSUP) {
		return nil, err
	}
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == 0 }), nil
}

// readAll calls f with a buffer that is large enough for any attribute (64 KiB is the kernel's limit).
func readAll(f func([]byte) (int, error)) ([]byte, error) {
	b := make([]byte, 64<<10)
	n, err := f(b)
	if err != nil {
		return nil, err
	}
	return b[:n], nil
}
