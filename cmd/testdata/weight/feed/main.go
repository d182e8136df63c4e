// Command feed is hello that updates itself from a feed, and starts again by other means.
package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/moult-go/moult/updater"
	"github.com/moult-go/moult/updater/feed"
)

func main() {
	u, err := updater.New(updater.Options{Name: "hello", Version: "1.0.0", Source: feed.New("https://example.com/hello", nil)})
	if err != nil {
		fmt.Println(err)
		return
	}
	go u.Run(context.Background())
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
	fmt.Println(http.ListenAndServe("localhost:8080", nil))
}
