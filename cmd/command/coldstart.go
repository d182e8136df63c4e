package command

import (
	"slices"
	"strings"

	"github.com/moult-go/moult/server"
)

// aboutToServe reads as much of a command line as must be known before anything can fail that a new version may do otherwise, its flags
// among it: whether it serves, and the state directory if it is named.
func aboutToServe(args []string) (stateDir string, serves bool) {
	if len(args) == 0 || args[0] != "serve" {
		return "", false
	}
	for i, a := range args {
		if value, ok := strings.CutPrefix(a, "--state-dir="); ok {
			stateDir = value
		} else if a == "--state-dir" && i+1 < len(args) {
			stateDir = args[i+1]
		}
	}
	return stateDir, !slices.Contains(args, "--help") && !slices.Contains(args, "-h")
}

func coldStart(s server.Service, stateDir string) error {
	s.Name = nameOf(s)
	if stateDir != "" {
		s.StateDir = stateDir
	}
	return server.ColdStart(s)
}
