// Everything listens in every way that a Service knows. TestEverything hands it over under load.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/moult-go/moult/server"
)

func main() {
	pair := server.TLS{Cert: "cert.pem", Key: "key.pem"}
	mutual := pair
	mutual.ClientCA = "clients.pem"
	err := server.Run(context.Background(), server.Service{
		Name:    "everything",
		Version: "1.0.0",
		Listen:  []string{"https://127.0.0.1:0", "http://127.0.0.1:0", "unix:web.sock"},
		TLS:     pair,
		H2C:     true,
		Listeners: []server.Listener{
			{Name: "mutual", Address: "127.0.0.1:0", TLS: &mutual},
			{Name: "echo", Address: "http://127.0.0.1:0", Serve: echo},
			{Name: "secret echo", Address: "127.0.0.1:0", Serve: echo},
		},
		Start: func(ctx context.Context) (http.Handler, error) {
			generation := server.Generation(ctx)
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				who := "nobody"
				if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
					who = r.TLS.PeerCertificates[0].Subject.CommonName
				}
				fmt.Fprintf(w, "%d %s %s", generation, r.Proto, who)
			}), nil
		},
		Probation: time.Second, DrainTimeout: 20 * time.Second,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		log.Fatal(err)
	}
}

// echo gives every line back.
func echo(_ context.Context, ln net.Listener) error {
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			for lines := bufio.NewReader(c); ; {
				line, err := lines.ReadBytes('\n')
				if err != nil {
					return
				}
				c.Write(line)
			}
		}()
	}
}
