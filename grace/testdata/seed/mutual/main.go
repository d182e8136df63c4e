// HTTPS for clients with a certificate, in the two steps that leave time for something between listening and serving.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/beego/beego/v2/server/web/grace"
)

func main() {
	server := grace.NewServer(os.Args[1], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s WORLD!ospid:%d", r.TLS.PeerCertificates[0].Subject.CommonName, os.Getpid())
	}))
	server.Network = "tcp4"
	ln, err := server.ListenMutualTLS("cert.pem", "key.pem", "cert.pem")
	if err != nil {
		log.Fatal(err)
	}
	log.Println("listens on", ln.Addr())
	if err := server.ServeTLS(ln); err != nil {
		log.Fatal(err)
	}
	log.Println("stopped", os.Getpid())
}
