//go:build unix

package grace_test

import (
	"bufio"
	"context"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moult-go/moult/grace"
)

func init() { programs["h2c"] = h2cProgram }

// h2cProgram serves HTTP/1.1 and HTTP/2 without TLS.
func h2cProgram() {
	p, err := grace.New(grace.Options{
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Probation: 300 * time.Millisecond, DrainTimeout: 5 * time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := p.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	srv := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil {
			http.Error(w, "TLS seen", http.StatusInternalServerError)
			return
		}
		hello(w, r)
	})}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	go func() {
		if err := p.Serve(srv, ln); err != nil {
			log.Fatal(err)
		}
	}()
	if err := p.Ready(context.Background()); err != nil {
		log.Fatal(err)
	}
	os.WriteFile("addr", []byte(ln.Addr().String()), 0o600)
	p.Wait(context.Background())
}

// TestH2C: HTTP/2 without TLS loses nothing either, beside HTTP/1.1 on the same port, and a client with nothing to ask is told to go in two
// steps, long before the drain deadline.
func TestH2C(t *testing.T) {
	t.Parallel()
	s := start(t, "h2c")
	s.waitUp()
	var total sum
	quit := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				conn, err := net.Dial("tcp", s.addr)
				if err == nil {
					err = streamsOn(conn, 8, quit, &total)
				}
				if err != nil {
					total.add(1, err)
				}
			}
		})
	}
	client := &http.Client{Timeout: 30 * time.Second}
	wg.Go(func() {
		for {
			select {
			case <-quit:
				return
			default:
			}
			res, err := client.Post("http://"+s.addr+"/", "text/plain", io.NopCloser(strings.NewReader("x")))
			if err == nil {
				_, err = io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
			total.add(1, err)
		}
	})
	for range promised(20) {
		idle, br := dialH2C(t, s.addr)
		before := strings.Count(s.log(), "handed over")
		s.signal(s.pids()[0], syscall.SIGHUP)
		if last := goAways(br); len(last) != 2 || last[0] != 1<<31-1 || last[1] != 0 {
			t.Errorf("GOAWAYs with last stream %v, want [2147483647 0]", last)
		}
		idle.Close()
		eventually(t, "the commit", func() bool { return strings.Count(s.log(), "handed over") > before })
		eventually(t, "the predecessor's end", func() bool { return len(s.pids()) == 1 })
	}
	close(quit)
	wg.Wait()
	t.Logf("%d of %d requests failed", total.failed, total.n)
	if total.failed > 0 || total.n < 100 {
		t.Errorf("%d of %d requests failed: %v", total.failed, total.n, total.first)
	}
}

func dialH2C(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	writeFrame(conn, 4, 0, 0, nil) // SETTINGS
	br := bufio.NewReader(conn)
	if kind, _, _, _, err := readFrame(br); err != nil || kind != 4 {
		t.Fatalf("first frame: type %d, %v; want SETTINGS", kind, err)
	}
	return conn, br
}
