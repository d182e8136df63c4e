//go:build unix

package grace_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moult-go/moult/grace"
)

// httpsProgram serves HTTP/1.1 and HTTP/2 over TLS, with the certificate in its working directory.
func httpsProgram() {
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
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || r.TLS.Version < tls.VersionTLS12 {
			http.Error(w, "no TLS seen", http.StatusInternalServerError)
			return
		}
		hello(w, r)
	})
	mux.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) {
		for range 1 << 10 {
			w.Write(make([]byte, 4<<10))
		}
	})
	go func() {
		if err := p.ServeTLS(&http.Server{Handler: mux}, ln, "cert.pem", "key.pem"); err != nil {
			log.Fatal(err)
		}
	}()
	if err := p.Ready(context.Background()); err != nil {
		log.Fatal(err)
	}
	os.WriteFile("addr", []byte(ln.Addr().String()), 0o600)
	p.Wait(context.Background())
}

func startHTTPS(t *testing.T) *server {
	t.Helper()
	return startTLS(t, "https")
}

// startTLS starts a program that finds a certificate for localhost in its working directory.
func startTLS(t *testing.T, program string) *server {
	t.Helper()
	dir := t.TempDir()
	writeCertificate(t, dir)
	s := startIn(t, dir, program)
	s.waitUp()
	return s
}

// writeCertificate makes cert.pem and key.pem, for localhost.
func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "EC PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPromiseG3: POSTs that nobody retries over TLS: HTTP/1.1, and HTTP/2 with 1, 16 and 50 streams at once, in frames written by
// hand. (Go's own client closes a body that it never sent when a GOAWAY comes between, and cannot send it again.)
func TestPromiseG3(t *testing.T) {
	for _, c := range []struct {
		name    string
		streams int
		load    func(addr string, quit <-chan struct{}, s *sum)
	}{
		{"http1.1", 16, oneTLS},
		{"http1.1 with gaps", 64, pausing},
		{"h2 with 1 stream", 1, streams(1)},
		{"h2 with 16 streams", 4, streams(4)}, // on each of 4 connections
		{"h2 with 50 streams", 1, streams(50)},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startHTTPS(t)
			var total sum
			quit := make(chan struct{})
			var wg sync.WaitGroup
			for range c.streams {
				wg.Go(func() { c.load(s.addr, quit, &total) })
			}
			for range promised(20) {
				before := strings.Count(s.log(), "handed over")
				s.signal(s.pids()[0], syscall.SIGHUP)
				eventually(t, "the commit", func() bool { return strings.Count(s.log(), "handed over") > before })
				eventually(t, "the predecessor's end", func() bool { return len(s.pids()) == 1 })
			}
			close(quit)
			wg.Wait()
			t.Logf("%d of %d requests failed", total.failed, total.n)
			if total.failed > 0 || total.n < 100 {
				t.Errorf("%d of %d requests failed: %v", total.failed, total.n, total.first)
			}
		})
	}
}

// sum counts over several clients.
type sum struct {
	mu        sync.Mutex
	n, failed int
	first     error
}

func (s *sum) add(n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n += n
	if err != nil {
		s.failed += n
		s.first = errors.Join(s.first, err)
	}
}

// oneTLS posts on one HTTP/1.1 connection after the other, closing each when it is told to.
func oneTLS(addr string, quit <-chan struct{}, s *sum) {
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}, MaxIdleConnsPerHost: 1}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr, Timeout: 30 * time.Second}
	for {
		select {
		case <-quit:
			return
		default:
		}
		// A body that cannot be sent again keeps the client from retrying.
		res, err := client.Post("https://"+addr+"/hello", "text/plain", io.NopCloser(strings.NewReader("x")))
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		s.add(1, err)
	}
}

// streams posts on n streams at a time of one HTTP/2 connection after the other. A GOAWAY ends the opening of new ones.
func streams(n int) func(addr string, quit <-chan struct{}, s *sum) {
	return func(addr string, quit <-chan struct{}, s *sum) {
		for {
			select {
			case <-quit:
				return
			default:
			}
			if err := oneHTTP2(addr, n, quit, s); err != nil {
				s.add(1, err)
			}
		}
	}
}

func oneHTTP2(addr string, n int, quit <-chan struct{}, s *sum) error {
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		return err
	}
	return streamsOn(conn, n, quit, s)
}

// streamsOn posts on n streams at a time until a GOAWAY or quit, and closes conn.
func streamsOn(conn net.Conn, n int, quit <-chan struct{}, s *sum) error {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	bw, br := bufio.NewWriter(conn), bufio.NewReader(conn)
	bw.WriteString("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	writeFrame(bw, 4, 0, 0, nil)                      // SETTINGS
	writeFrame(bw, 8, 0, 0, []byte{0x7f, 0xfe, 0, 0}) // WINDOW_UPDATE: the server may send all it likes
	open, next, leaving := map[uint32]bool{}, uint32(1), false
	fail := func(err error) {
		s.add(len(open), fmt.Errorf("%d streams open: %w", len(open), err))
		clear(open)
	}
	for {
		select {
		case <-quit:
			leaving = true
		default:
		}
		for !leaving && len(open) < n {
			// HPACK by the static table: POST, https, :path /hello, :authority x.
			writeFrame(bw, 1, 4, next, []byte("\x83\x87\x04\x06/hello\x01\x01x"))
			writeFrame(bw, 0, 1, next, []byte(strings.Repeat("x", 500)))
			open[next] = true
			next += 2
		}
		if len(open) == 0 {
			return nil
		}
		if err := bw.Flush(); err != nil {
			fail(err)
			return nil
		}
		kind, flags, stream, payload, err := readFrame(br)
		if err != nil {
			fail(err)
			return nil
		}
		switch kind {
		case 0, 1: // DATA, HEADERS
			if kind == 1 && payload[0] != 0x88 {
				return fmt.Errorf("stream %d: not status 200", stream)
			}
			if flags&1 != 0 { // END_STREAM
				delete(open, stream)
				s.add(1, nil)
			}
		case 3: // RST_STREAM
			if open[stream] {
				return fmt.Errorf("stream %d was reset", stream)
			}
		case 4:
			if flags&1 == 0 {
				writeFrame(bw, 4, 1, 0, nil)
			}
		case 7: // GOAWAY
			leaving = true
			last := binary.BigEndian.Uint32(payload)
			for id := range open {
				if id > last {
					delete(open, id)
					s.add(1, fmt.Errorf("stream %d was dropped by a GOAWAY with last stream %d", id, last))
				}
			}
		}
	}
}

func writeFrame(w io.Writer, kind, flags byte, stream uint32, payload []byte) {
	head := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	w.Write(append(binary.BigEndian.AppendUint32(head, stream), payload...))
}

func readFrame(r io.Reader) (kind, flags byte, stream uint32, payload []byte, err error) {
	head := make([]byte, 9)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, 0, 0, nil, err
	}
	payload = make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err = io.ReadFull(r, payload)
	return head[3], head[4], binary.BigEndian.Uint32(head[5:]), payload, err
}

// TestTwoStepGoAway reads the frames: a GOAWAY with the largest stream there can be, then one with the last stream that was
// seen, then the end. It fails when net/http no longer lets our connection in between.
func TestTwoStepGoAway(t *testing.T) {
	t.Parallel()
	s := startHTTPS(t)
	conn, br := dialHTTP2(t, s.addr)
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	last := goAways(br)
	if len(last) != 2 || last[0] != 1<<31-1 || last[1] != 0 {
		t.Errorf("GOAWAYs with last stream %v, want [2147483647 0]", last)
	}
	conn.Close()
	s.waitEnd(10 * time.Second)
}

// dialHTTP2 opens a connection whose windows are as large as they can be.
func dialHTTP2(t *testing.T, addr string) (*tls.Conn, *bufio.Reader) {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error { // what a slow client has not read, the server still holds
		return c.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 16<<10) })
	}}
	raw, err := tls.DialWithDialer(&d, "tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	raw.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(raw, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	writeFrame(raw, 4, 0, 0, []byte{0, 4, 0x7f, 0xff, 0xff, 0xff}) // SETTINGS: initial window
	writeFrame(raw, 8, 0, 0, []byte{0x7f, 0xfe, 0, 0})             // WINDOW_UPDATE
	br := bufio.NewReader(raw)
	if kind, _, _, _, err := readFrame(br); err != nil || kind != 4 {
		t.Fatalf("first frame: type %d, %v; want SETTINGS", kind, err)
	}
	return raw, br
}

// goAways reads to the end and returns the last streams that GOAWAYs named.
func goAways(br *bufio.Reader) (last []uint32) {
	for {
		kind, _, _, payload, err := readFrame(br)
		if err != nil {
			return last
		}
		if kind == 7 {
			last = append(last, binary.BigEndian.Uint32(payload))
		}
	}
}

// getBig asks for /big on stream 1: GET, https, :path /big, :authority x.
func getBig(w io.Writer) { writeFrame(w, 1, 5, 1, []byte("\x82\x87\x04\x04/big\x01\x01x")) }

// TestGoAwayPastADeafClient: a client that does not read keeps nobody else from being told to go.
func TestGoAwayPastADeafClient(t *testing.T) {
	t.Parallel()
	s := startHTTPS(t)
	deaf, _ := dialHTTP2(t, s.addr)
	getBig(deaf)
	var readers []*bufio.Reader
	for range 8 {
		_, br := dialHTTP2(t, s.addr)
		readers = append(readers, br)
	}
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	for _, br := range readers {
		if last := goAways(br); len(last) != 2 {
			t.Errorf("GOAWAYs with last stream %v, want two", last)
		}
	}
	s.waitEnd(10 * time.Second)
}

// TestSlowClientGetsItsLastAnswer: on HTTP/2 the end of the last stream is not the end of what is on its way. The client keeps to a pace,
// and so makes up for what it lost while other tests had the processors: the drain deadline is 5 s.
func TestSlowClientGetsItsLastAnswer(t *testing.T) {
	t.Parallel()
	s := startHTTPS(t)
	conn, br := dialHTTP2(t, s.addr)
	getBig(conn)
	s.signal(s.cmd.Process.Pid, syscall.SIGHUP)
	s.waitLog("standing by")
	const size, pace = 4 << 20, 2 * time.Second
	began := time.Now()
	for got, ended := 0, false; !ended; {
		kind, flags, _, payload, err := readFrame(br)
		if err != nil {
			t.Fatalf("after %d bytes of %d: %v", got, size, err)
		}
		if kind == 0 {
			got += len(payload)
			ended = flags&1 != 0
			writeFrame(conn, 8, 0, 0, []byte{0, 0, 0x10, 0})                    // WINDOW_UPDATE
			time.Sleep(time.Until(began.Add(pace * time.Duration(got) / size))) // what makes the client slow
		}
	}
	conn.Close()
	s.waitEnd(10 * time.Second)
}
