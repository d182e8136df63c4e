package main

import (
	"github.com/moult-go/moult/cmd/command"
	"github.com/moult-go/moult/server"
)

// Set by the linker.
var (
	name     = "app" // what packages call it
	version  = "dev"
	disabled = "" // by who distributes it otherwise: what to do instead of updating itself
	stateDir = "" // likewise, where the place beside the executable cannot be written
)

func main() {
	fault.atMain()
	command.Main(service(new(app)))
}

// service describes what a serves.
func service(a *app) server.Service {
	return server.Service{Name: name, Version: version, Disabled: disabled, StateDir: stateDir, Flags: a.flags, CheckFlags: a.check, Start: a.start, OnReady: fault.onReady}
}
