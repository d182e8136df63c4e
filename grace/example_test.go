package grace_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"

	"github.com/moult-go/moult/grace"
)

// The drop-in: change one import. The call returns nil when this process has been replaced and has drained, or
// was stopped.
func ExampleListenAndServe() {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "WORLD!") })
	if err := grace.ListenAndServe("localhost:8080", mux); err != nil {
		log.Fatal(err)
	}
}

// A server with a Process of its own: it says itself when it is ready.
func ExampleProcess() {
	p, err := grace.New(grace.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := p.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error)
	go func() {
		served <- p.Serve(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "generation %d", p.Generation())
		})}, ln)
	}()
	if err := p.Ready(context.Background()); err != nil { // a predecessor stands by from here
		log.Fatal(err)
	}
	<-p.Active() // final: no predecessor can come back

	res, err := http.Get("http://" + ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	fmt.Printf("%s, %s\n", body, p.State())

	p.Stop() // as TERM does
	p.Wait(context.Background())
	fmt.Println(<-served, p.State())
	// Output:
	// generation 1, serving
	// <nil> exited
}

// Any protocol: an echo server. Its connections are counted, and the drain waits for them.
func ExampleProcess_Listen() {
	p, err := grace.New(grace.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := p.Listen("tcp", ":7")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil { // net.ErrClosed: this process never accepts again
				return
			}
			go func(c net.Conn) {
				defer c.Close()
				io.Copy(c, c)
			}(c)
		}
	}()
	if err := p.Ready(context.Background()); err != nil {
		log.Fatal(err)
	}
	p.Wait(context.Background())
}
