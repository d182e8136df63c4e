// A WebSocket server that replaces itself: its clients are told to come back (close code 1012, service restart), to the successor.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/moult-go/moult/server"
)

func main() {
	listen := flag.String("listen", "localhost:8080", "address")
	flag.Parse()
	err := server.Run(context.Background(), server.Service{
		Name:    "chat",
		Version: "1.0.0",
		Listen:  []string{*listen},
		Start: func(ctx context.Context) (http.Handler, error) {
			return echo{server.Generation(ctx)}, nil
		},
		DrainTimeout: 20 * time.Second,
		Probation:    time.Second,
	})
	if err != nil {
		slog.Error("chat", "err", err)
	}
}

// echo answers every message with itself, after the generation.
type echo struct{ generation int }

func (e echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has answered
	}
	defer c.CloseNow()
	// What the client says before it hears of this has no answer: it says it again when it is back, as after any end of a connection.
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-server.Draining(r.Context()):
			c.Close(websocket.StatusServiceRestart, "come back")
		case <-ended:
		}
	}()
	for {
		kind, message, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if err := c.Write(r.Context(), kind, fmt.Appendf(nil, "%d %s", e.generation, message)); err != nil {
			return
		}
	}
}
