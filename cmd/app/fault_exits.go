//go:build exits

package main

import (
	"fmt"
	"os"

	"github.com/moult-go/moult/grace/role"
)

// A successor that gives up at once.
func init() {
	fault.onStart = func() {
		if role.Current() == role.Successor {
			fmt.Fprintln(os.Stderr, "app: built to exit")
			os.Exit(3)
		}
	}
}
