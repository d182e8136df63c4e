//go:build !unix

package role

import "errors"

// Descriptors are not inherited by number here, so no role but the usual one exists.
func describe(uintptr) (string, error)    { return "", errors.ErrUnsupported }
func isDescriptor(fd int, id string) bool { return false }
func closeOnExec(fd int)                  {}
