//go:build mute

package main

import (
	"time"

	"github.com/moult-go/moult/grace/role"
)

// A successor that runs for ever and never speaks the protocol.
func init() {
	fault.atMain = func() {
		role.Act(role.Report{Name: name, Version: version})
		for role.Current() == role.Successor {
			time.Sleep(time.Hour)
		}
	}
}
