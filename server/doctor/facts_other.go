//go:build !linux

package doctor

// procfs is "" where there is none to rely on.
const procfs = ""

// Files have no capabilities here, the kernel does not say whether its clock is kept right, and the updater looks for room when it needs some.
func hasCapabilities(string) bool { return false }
func unsynchronised() string      { return "" }
func spaceOf(string) *space       { return nil }
