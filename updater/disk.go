package updater

import (
	"errors"
	"os"

	"github.com/moult-go/moult/release"
)

// digestIs reports whether the file at path is whole and the one that d names; links are not followed.
func digestIs(path string, d release.Digest) bool {
	if _, err := identifyFile(path); err != nil {
		return false
	}
	got, _, err := release.DigestFile(path)
	return err == nil && got == d
}

// digestIsIn is digestIs for a file in the directory that root has open.
func digestIsIn(root *os.Root, name string, d release.Digest) bool {
	got, err := digestIn(root, name)
	return err == nil && got == d
}

// diskError is the failure of a disk: with a class of its own, and a word, for a full one.
func diskError(err error, format string, args ...any) *Error {
	reason := "io"
	if isExhausted(err) {
		reason = "disk-space"
	}
	return fail(diskClass(err), reason, format+": %w", append(args, err)...)
}

// diskClass tells a full disk, which is temporary, from one that may not be written.
func diskClass(err error) Class {
	switch {
	case isExhausted(err):
		return Temporary
	case errors.Is(err, os.ErrPermission) || isReadOnly(err):
		return Permission
	}
	return Failed
}
