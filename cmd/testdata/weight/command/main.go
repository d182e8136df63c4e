// Command command is hello as a service that updates itself from a feed, with the whole command line.
package main

import (
	"fmt"
	"net/http"

	"github.com/moult-go/moult/cmd/command"
	"github.com/moult-go/moult/server"
	"github.com/moult-go/moult/updater/feed"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
	command.Main(server.Service{Name: "hello", Version: "1.0.0", Source: feed.New("https://example.com/hello", nil), Handler: http.DefaultServeMux})
}
