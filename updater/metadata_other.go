//go:build !linux

package updater

// Extended attributes are copied on Linux only.
func copyAttributes(from, to string) (name string, err error) { return "", nil }
