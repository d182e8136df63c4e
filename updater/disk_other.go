//go:build !unix

package updater

func isExhausted(error) bool { return false }
func isReadOnly(error) bool  { return false }
