// Command dropin is hello with one import changed.
package main

import (
	"fmt"
	"net/http"

	"github.com/moult-go/moult/grace"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
	fmt.Println(grace.ListenAndServe("localhost:8080", nil))
}
