//go:build crashy

package main

import (
	"os"
	"time"
)

// A version that gets ready, serves, and crashes two seconds later. It does so in every role, also when
// it is started cold: it is a bad build. MOULT_TEST_SPARED is set where it is well: one instance of several may crash.
func init() {
	fault.onReady = func() {
		if os.Getenv("MOULT_TEST_SPARED") == "" {
			time.AfterFunc(2*time.Second, func() { panic("app: built to crash") })
		}
	}
}
