// HTTPS, by the package's function.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/beego/beego/v2/server/web/grace"
)

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s WORLD!ospid:%d", r.Proto, os.Getpid())
	})
	if err := grace.ListenAndServeTLS(os.Args[1], "cert.pem", "key.pem", mux); err != nil {
		log.Fatal(err)
	}
	log.Println("stopped", os.Getpid())
}
