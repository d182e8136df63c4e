// The first example of beego's documentation: one server, and a handler that may be slow.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/beego/beego/v2/server/web/grace"
)

func handler(w http.ResponseWriter, r *http.Request) {
	if ms, err := strconv.Atoi(r.FormValue("sleep")); err == nil {
		time.Sleep(time.Duration(ms) * time.Millisecond)
	}
	fmt.Fprintf(w, "WORLD!ospid:%d", os.Getpid())
}

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", handler)

	err := grace.ListenAndServe(os.Args[1], mux)
	if err != nil {
		log.Println(err)
		os.Exit(1)
	}
	log.Println("stopped", os.Getpid())
	os.Exit(0)
}
