package updater

import (
	"bytes"
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// copyAttributes copies extended attributes that the new file does not have with the same value already; the
// name is that of the one that failed. A label that the directory gives anyway is therefore no obstacle.
func copyAttributes(from, to string) (name string, err error) {
	names, err := readAll(func(b []byte) (int, error) { return unix.Listxattr(from, b) })
	if errors.Is(err, unix.ENOTSUP) {
		return "", nil
	}
	if err != nil {
		return "list", err
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		want, err := readAll(func(b []byte) (int, error) { return unix.Getxattr(from, name, b) })
		if err != nil {
			return name, err
		}
		have, err := readAll(func(b []byte) (int, error) { return unix.Lgetxattr(to, name, b) })
		if err == nil && bytes.Equal(have, want) {
			continue
		}
		if err := unix.Lsetxattr(to, name, want, 0); err != nil {
			return name, err
		}
	}
	return "", nil
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
