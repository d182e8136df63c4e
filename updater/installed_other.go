//go:build !unix

package updater

func isLocked(string) bool { return false }
