package server_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/moult-go/moult/server"
)

// A whole service: it listens on a Unix socket, answers, and ends with its context.
func ExampleRun() {
	dir, err := os.MkdirTemp("", "ex")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "hello.sock")

	ctx, stop := context.WithCancel(context.Background())
	err = server.Run(ctx, server.Service{
		Name:     "hello",
		Version:  "1.0.0",
		Listen:   []string{"unix:" + socket},
		StateDir: filepath.Join(dir, "state"),
		Logger:   slog.New(slog.DiscardHandler),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "hello, world")
		}),
		OnReady: func() {
			go func() {
				defer stop()
				c := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
					return net.Dial("unix", socket)
				}}}
				for _, path := range []string{"/", "/readyz"} {
					res, err := c.Get("http://hello" + path)
					if err != nil {
						fmt.Println(err)
						return
					}
					text, _ := io.ReadAll(res.Body)
					res.Body.Close()
					fmt.Println(res.StatusCode, string(text))
				}
			}()
		},
	})
	fmt.Println("ended:", err)
	// Output:
	// 200 hello, world
	// 200 ok
	//
	// ended: <nil>
}

// A protocol of the program's own, here one that echoes. Over an upgrade, who is connected stays with the process that accepted him until he
// leaves, or until the drain deadline; who connects anew talks to the successor, through the same socket. TestEcho runs this.
func ExampleListener() {
	echo := func(_ context.Context, ln net.Listener) error {
		for {
			c, err := ln.Accept()
			if err != nil {
				return err // net.ErrClosed when this process has drained
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}
	err := server.Run(context.Background(), server.Service{
		Name:      "echo",
		Listeners: []server.Listener{{Address: "unix:echo.sock", Serve: echo}},
	})
	if err != nil {
		log.Fatal(err)
	}
}
