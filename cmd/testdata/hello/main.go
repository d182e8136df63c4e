// Hello is the server of the pages in docs that do not show one.
package main

import (
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/moult-go/moult/cmd/command"
	"github.com/moult-go/moult/server"
)

// Set by the linker.
var (
	version = "dev"
	fault   = "" // "crashes": half a second after it is ready; "exits": when it starts
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello from", version) })
	service := server.Service{Name: "hello", Version: version, Handler: http.DefaultServeMux}
	switch fault {
	case "crashes":
		service.OnReady = func() { time.AfterFunc(500*time.Millisecond, func() { panic("out of luck") }) }
	case "exits":
		service.OnReady = func() { fmt.Fprintln(os.Stderr, "no licence"); os.Exit(1) }
	}
	command.Main(service)
}
