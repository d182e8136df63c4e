// Several servers, one of them with TLS, each with a callback before it shuts down.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"sync"

	"github.com/beego/beego/v2/server/web/grace"
)

func main() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "WORLD!ospid:%d", os.Getpid())
	})
	var wg sync.WaitGroup
	for i, addr := range os.Args[1:] {
		server := grace.NewServer(addr, handler,
			grace.WithShutdownCallback(func() { log.Println("first callback of", addr, os.Getpid()) }),
			grace.WithShutdownCallback(func() { log.Println("second callback of", addr, os.Getpid()) }))
		wg.Add(1)
		go func() {
			defer wg.Done()
			var err error
			if i == 0 {
				err = server.ListenAndServeTLS("cert.pem", "key.pem")
			} else {
				err = server.ListenAndServe()
			}
			if err != nil {
				log.Fatal(addr, ": ", err)
			}
		}()
	}
	wg.Wait()
	log.Println("stopped", os.Getpid())
}
