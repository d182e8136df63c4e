//go:build !skewed

package tuf

import "time"

// clock is the host's. A build for tests has another (clock_skewed.go); nothing that is shipped can be told the time.
func clock() time.Time { return time.Now() }
