package main

import (
	"fmt"
	"net/http"

	"github.com/moult-go/moult/cmd/command"
	"github.com/moult-go/moult/server"
)

var version = "dev" // set by the linker

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello from", version) })
	command.Main(server.Service{Name: "hello", Version: version, Handler: http.DefaultServeMux})
}
