//go:build hangs

package main

import (
	"time"

	"github.com/moult-go/moult/grace/role"
)

// A successor that greets its predecessor and is never ready.
func init() {
	fault.onStart = func() {
		for role.Current() == role.Successor {
			time.Sleep(time.Hour)
		}
	}
}
