// Command selfapply is what a test compares with: a server that calls selfupdate.Apply in its own process, as most do.
package main

import (
	"log"
	"net"
	"net/http"
	"os"

	"github.com/minio/selfupdate"
)

func main() {
	payload, target := os.Args[1], os.Args[2]
	http.HandleFunc("/update", func(w http.ResponseWriter, _ *http.Request) {
		f, err := os.Open(payload)
		if err == nil {
			defer f.Close()
			err = selfupdate.Apply(f, selfupdate.Options{TargetPath: target})
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello\n")) })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	os.Stdout.WriteString(ln.Addr().String() + "\n")
	log.Fatal(http.Serve(ln, nil))
}
