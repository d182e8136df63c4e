//go:build cold

package main

import "github.com/moult-go/moult/grace/role"

// A version that does well as a successor, and crashes whenever it is started cold.
func init() {
	fault.onStart = func() {
		if role.Current() == role.None {
			panic("app: built to crash at a cold start")
		}
	}
}
