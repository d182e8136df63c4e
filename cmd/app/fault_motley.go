//go:build motley

package main

import "flag"

// A version with a flag that others do not have, so that a configuration of its own is a mistake in their eyes.
func init() {
	fault.flags = func(fs *flag.FlagSet) { fs.String("motley", "", "has no effect") }
}
