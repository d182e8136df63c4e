// Command service is hello as a service without a source of releases and without a command line.
package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/moult-go/moult/server"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
	fmt.Println(server.Run(context.Background(), server.Service{Name: "hello", Version: "1.0.0", Handler: http.DefaultServeMux}))
}
