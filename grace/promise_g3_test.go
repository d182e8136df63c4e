//go:build unix

package grace_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

func init() { programs["https-shutdown"] = httpsShutdownProgram }

// httpsShutdownProgram is the control: it hands over as every Go peer does, over TLS.
func httpsShutdownProgram() {
	hup := hangups()
	ln, err := bareListen()
	if err != nil {
		fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", hello)
	srv := &http.Server{Handler: mux}
	go func() {
		if err := srv.ServeTLS(ln, "cert.pem", "key.pem"); !errors.Is(err, http.ErrServerClosed) {
			fatal(err)
		}
	}()
	bareSayReady()
	os.WriteFile("addr", []byte(ln.Addr().String()), 0o600)
	<-hup
	if _, err := bareSpawn(ln); err != nil {
		fatal(err)
	}
	if err := srv.Shutdown(context.Background()); err != nil {
		fatal(err)
	}
}

// TestPromiseG3Control: the same loads find what http.Server.Shutdown loses. One loss is enough; it may take several upgrades.
func TestPromiseG3Control(t *testing.T) {
	for _, c := range []struct {
		name    string
		clients int
		load    func(addr string, quit <-chan struct{}, s *sum)
	}{
		{"http1.1 with gaps", 32, pausing},
		{"h2 with 16 streams", 4, streams(4)},
		{"h2 with 50 streams", 1, streams(50)},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startTLS(t, "https-shutdown")
			var total sum
			quit := make(chan struct{})
			var wg sync.WaitGroup
			for range c.clients {
				wg.Go(func() { c.load(s.addr, quit, &total) })
			}
			eventually(t, "some answers", func() bool { n, _ := total.so(); return n > 2*c.clients })
			const most = 50
			upgrades, lost := 0, 0
			for ; upgrades < most && lost == 0; upgrades++ {
				old := s.pids()[0]
				s.signal(old, syscall.SIGHUP)
				eventually(t, "the next generation alone", func() bool {
					pids := s.pids()
					return len(pids) == 1 && pids[0] != old
				})
				before, _ := total.so()
				eventually(t, "answers of it", func() bool { n, _ := total.so(); return n > before+c.clients })
				_, lost = total.so()
			}
			close(quit)
			wg.Wait()
			t.Logf("Shutdown: %d of %d requests failed over %d upgrades", total.failed, total.n, upgrades)
			if total.failed == 0 {
				t.Error("the control lost nothing: the load does not see what it is there to see")
			}
		})
	}
}

// so returns what has been counted by now.
func (s *sum) so() (n, failed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n, s.failed
}

// longestGap is below the drain deadline of the program "https", which is what TLS HTTP/1.1 connections need.
const longestGap = time.Second

// pausing posts on one HTTP/1.1 connection over TLS after the other, with gaps of all lengths up to longestGap. It closes a
// connection only when it is told to, and sends without a look whether the connection is still there.
func pausing(addr string, quit <-chan struct{}, s *sum) {
	for {
		select {
		case <-quit:
			return
		default:
		}
		if err := pausingOn(addr, quit, s); err != nil {
			s.add(1, err)
		}
	}
}

func pausingOn(addr string, quit <-chan struct{}, s *sum) error {
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err != nil {
		return err
	}
	defer conn.Close()
	br := bufio.NewReader(conn)
	for {
		select {
		case <-quit:
			return nil
		case <-time.After(rand.N(longestGap)):
		}
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.WriteString(conn, "POST /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx"); err != nil {
			return err
		}
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return err
		}
		s.add(1, nil)
		if res.Close {
			return nil
		}
	}
}
