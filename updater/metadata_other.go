//go:build !linux

package updater

import "os"

// Extended attributes are copied on Linux only.
func copyAttributes(from, to *os.File) (name string, err error) { return "", nil }
