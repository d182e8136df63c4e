//go:build exits

package main

import (
	"fmt"
	"os"

	"github.com/moult-go/moult/grace/role"
)

// A successor that gives up at once, before it greets anybody.
func init() {
	fault.atMain = func() {
		role.Act(role.Report{Name: name, Version: version})
		if role.Current() == role.Successor {
			fmt.Fprintln(os.Stderr, "app: built to exit")
			os.Exit(3)
		}
	}
}
