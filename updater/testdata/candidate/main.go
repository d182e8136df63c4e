// Command candidate is what the tests of package updater prove and stage. Its version says what ails it.
package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/moult-go/moult/grace/role"
)

var version string // set by the linker, then patched in the file: all have the same length

func main() {
	r := role.Report{Name: "hello", Version: version}
	switch _, ails, _ := strings.Cut(version, "-"); ails {
	case "exit":
		fmt.Fprintln(os.Stderr, "cannot \x1b[31mstart")
		os.Exit(3)
	case "hang":
		time.Sleep(time.Minute)
	case "liar":
		r.Version = "9.9.8"
	case "them":
		r.Name = "other"
	}
	role.Act(r)
}
