package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/server"
)

// TestIdleIsNoSlowness: no limit of a request closes a connection between two requests.
func TestIdleIsNoSlowness(t *testing.T) {
	addr := service(t, server.Service{
		Limits:  server.Limits{HeaderTimeout: 100 * time.Millisecond, BodyTimeout: 100 * time.Millisecond, RequestTimeout: 100 * time.Millisecond, AnswerTimeout: 100 * time.Millisecond},
		Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
	})[0]
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	br := bufio.NewReader(c)
	for i := range 3 {
		time.Sleep(time.Duration(i) * 150 * time.Millisecond) // idle for longer than every limit
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx")
		res, err := http.ReadResponse(br, nil)
		if err != nil || res.StatusCode != http.StatusOK || res.Close {
			t.Fatalf("request %d: %v, %v", i, res, err)
		}
	}
}

// TestLimits: what takes too long, or too much, ends; also where net/http first looks whether HTTP/2 is spoken.
func TestLimits(t *testing.T) {
	for _, h2c := range []bool{false, true} {
		t.Run(fmt.Sprintf("h2c %t", h2c), func(t *testing.T) { limits(t, h2c) })
	}
}

func limits(t *testing.T, h2c bool) {
	addr := service(t, server.Service{
		H2C:    h2c,
		Limits: server.Limits{HeaderTimeout: 200 * time.Millisecond, IdleTimeout: 300 * time.Millisecond, HeaderBytes: 1 << 10},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(w, r.Body)
		}),
	})[0]
	for _, tt := range []struct {
		name, sent, want string
	}{
		{"a header that never ends", "GET / HTTP/1.1\r\nHost: localhost\r\n", ""},
		{"nothing at all", "", ""},
		{"a byte", "P", "HTTP/1.1 400"},
		{"a header too large", "GET / HTTP/1.1\r\nHost: localhost\r\nCookie: " + strings.Repeat("x", 8<<10) + "\r\n\r\n", "HTTP/1.1 431"},
		{"idle for too long", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200"},
	} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(c, tt.sent)
		got, err := io.ReadAll(c) // to the end, which the server makes
		if !strings.HasPrefix(string(got), tt.want) || tt.want == "" && len(got) > 0 {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
		c.Close()
	}
}

// TestRoomForNewConnections: those who hoard idle connections keep nobody out.
func TestRoomForNewConnections(t *testing.T) {
	addr := service(t, server.Service{
		Limits:  server.Limits{Connections: 4},
		Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
	})[0]
	ask := func(c net.Conn) error {
		c.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		_, err := http.ReadResponse(bufio.NewReader(c), nil)
		return err
	}
	dial := func() net.Conn {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := ask(c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	oldest := dial()
	ended := make(chan error, 1)
	go func() {
		_, err := oldest.Read(make([]byte, 1))
		ended <- err
	}()
	for range 100 { // net/http calls a connection idle a moment after its client has the answer
		dial()
		select {
		case err := <-ended:
			if err != io.EOF {
				t.Errorf("the oldest connection: %v, want its end", err)
			}
			return
		default:
		}
	}
	t.Error("100 idle connections, where there is room for 4")
}

// TestStrangersFillNoLog: a failed handshake is no warning.
func TestStrangersFillNoLog(t *testing.T) {
	var logged logBuffer
	log := slog.New(server.Quieter(slog.NewTextHandler(&logged, nil)))
	log.Warn("http: TLS handshake error from 192.0.2.1:1: EOF")
	log.Warn("http: panic serving")
	if logged.count("handshake") != 0 || logged.count("panic") != 1 {
		t.Errorf("logged %q", logged.buf.String())
	}
	debug := slog.New(server.Quieter(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})))
	debug.Warn("http: TLS handshake error from 192.0.2.1:1: EOF")
	if logged.count("level=DEBUG") != 1 {
		t.Errorf("logged %q", logged.buf.String())
	}
}

// TestRequestsOutliveTheContext: ending Run's context asks for a drain, and takes nothing from the requests under way.
func TestRequestsOutliveTheContext(t *testing.T) {
	began, drained, opened := make(chan struct{}), make(chan struct{}), context.Context(nil)
	b := server.NewBench(t, server.Service{Start: func(ctx context.Context) (http.Handler, error) {
		opened = ctx
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(began)
			<-server.Draining(r.Context())
			fmt.Fprint(w, opened.Err(), r.Context().Err())
		}), nil
	}}, drained)
	answer := make(chan string, 1)
	go func() {
		res, err := http.Get("http://" + b.Addr())
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		answer <- string(text)
	}()
	<-began
	b.End()
	got := <-answer
	close(drained)
	if got != "<nil> <nil>" {
		t.Errorf("%s, want no context to have ended", got)
	}
	if server.Draining(t.Context()) != nil {
		t.Error("a stranger's context knows of a drain")
	}
}
