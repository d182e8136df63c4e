package main

import (
	"github.com/moult-go/moult/cmd/command"
	"github.com/moult-go/moult/server"
)

const name = "app"

var version = "dev" // set by the linker

func main() {
	fault.atMain()
	var a app
	command.Main(server.Service{Name: name, Version: version, Flags: a.flags, Start: a.start, OnReady: fault.onReady})
}
