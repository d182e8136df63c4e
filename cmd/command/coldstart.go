package command

import (
	"slices"

	"github.com/spf13/pflag"

	"github.com/moult-go/moult/cmd/config"
	"github.com/moult-go/moult/server"
)

// aboutToServe reads as much of a command line as must be known before anything can fail that a new version may do otherwise, its flags and the
// keys of its configuration among it: whether it serves, and the state directory if it is named, in any of the places where it can be.
func aboutToServe(name string, args []string) (stateDir string, serves bool) {
	if len(args) == 0 || args[0] != "serve" {
		return "", false
	}
	fl := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	fl.ParseErrorsAllowlist.UnknownFlags = true
	fl.Usage = func() {}
	config.Flag(fl)
	fl.StringVar(&stateDir, "state-dir", "", "")
	fl.Parse(args[1:])                                            // what is wrong with it, serve says
	config.Read(fl, config.Options{Program: name, Partial: true}) // likewise
	return stateDir, !slices.Contains(args, "--help") && !slices.Contains(args, "-h")
}

func coldStart(s server.Service, stateDir string) error {
	s.Name = nameOf(s)
	if stateDir != "" {
		s.StateDir = stateDir
	}
	return server.ColdStart(s)
}
