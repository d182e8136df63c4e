package server_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/moult-go/moult/server"
)

// TestBodyThatStandsStill: a slow body is read to its end, however long that takes; one that stops is given up; and when it has come, the handler has
// all the time it wants.
func TestBodyThatStandsStill(t *testing.T) {
	const limit = 300 * time.Millisecond
	addr := service(t, server.Service{
		Limits: server.Limits{BodyTimeout: limit},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				http.Error(w, "too slow", http.StatusRequestTimeout)
				return
			}
			select {
			case <-time.After(2 * limit): // work
			case <-r.Context().Done():
			}
			fmt.Fprint(w, len(b), err, r.Context().Err())
		}),
	})[0]
	for _, tt := range []struct {
		name   string
		pieces int // of 10
		want   string
	}{
		{"all of it", 10, "10 <nil> <nil>"},
		{"half of it", 5, "too slow\n"},
	} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n")
		for range tt.pieces {
			io.WriteString(c, "x")
			time.Sleep(limit / 6) // a slow line
		}
		br := bufio.NewReader(c)
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if b, err := io.ReadAll(res.Body); string(b) != tt.want || err != nil {
			t.Errorf("%s: %q, %v; want %q", tt.name, b, err, tt.want)
		}
		if res.Close {
			continue
		}
		time.Sleep(2 * limit) // idle
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if _, err := http.ReadResponse(br, nil); err != nil {
			t.Errorf("%s: the next request: %v", tt.name, err)
		}
	}
}
