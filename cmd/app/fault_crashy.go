//go:build crashy

package main

import "time"

// A version that gets ready, serves, and crashes two seconds later. It does so in every role, also when
// it is started cold: it is a bad build.
func init() {
	fault.onReady = func() {
		time.AfterFunc(2*time.Second, func() { panic("app: built to crash") })
	}
}
