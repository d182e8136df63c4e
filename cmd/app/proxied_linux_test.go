package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// newSelf is a line whose executable is a copy of this test binary.
func newSelf(t *testing.T) *line {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(roleVariable, "app")
	l := newLine(t)
	l.install(self)
	return l
}

// hangup restarts the server, and waits for the next generation to serve alone.
func (l *line) hangup() {
	l.t.Helper()
	st, err := l.status()
	if err != nil {
		l.t.Fatal(err)
	}
	syscall.Kill(st.PID, syscall.SIGHUP)
	l.wait(fmt.Sprintf("generation %d", st.Generation+1), func() bool {
		now, err := l.status()
		return err == nil && now.Generation == st.Generation+1 && now.State == "serving"
	})
}

// upstream is a server with what does not end by itself, and uploads.
func upstream(t *testing.T) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/upload", func(w http.ResponseWriter, r *http.Request) {
		sum := crc32.NewIEEE()
		n, err := io.Copy(sum, r.Body)
		fmt.Fprintf(w, "%d %08x %v", n, sum.Sum32(), err)
	})
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := 0; ; i++ {
			fmt.Fprintf(w, "id: %d\ndata: x\n\n", i)
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusSwitchingProtocols)
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		for { // masked frames of up to 125 bytes
			b := make([]byte, 2)
			if _, err := io.ReadFull(rw, b); err != nil {
				return
			}
			payload := make([]byte, 4+int(b[1]&0x7f))
			if _, err := io.ReadFull(rw, payload); err != nil {
				return
			}
			for i := range payload[4:] {
				payload[4+i] ^= payload[i&3]
			}
			c.Write(append([]byte{b[0], byte(len(payload) - 4)}, payload[4:]...))
			if b[0] == 0x88 {
				return
			}
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// socket is a WebSocket's client, as small as can be.
type socket struct {
	net.Conn
	r *bufio.Reader
}

func dialSocket(address string) (*socket, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(30 * time.Second))
	fmt.Fprint(c, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err == nil && res.StatusCode != http.StatusSwitchingProtocols {
		err = errors.New(res.Status)
	}
	return &socket{c, r}, err
}

// echo sends a text and returns the frame that comes back.
func (s *socket) echo(text string) (string, error) {
	if _, err := s.Write(append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)); err != nil {
		return "", err
	}
	return s.frame()
}

func (s *socket) frame() (string, error) {
	b := make([]byte, 2)
	if _, err := io.ReadFull(s.r, b); err != nil {
		return "", err
	}
	payload := make([]byte, b[1])
	_, err := io.ReadFull(s.r, payload)
	return string(b[:1]) + string(payload), err
}

// What does not end by itself goes on while a successor takes over, until it is told to go; then it comes back and finds the successor.
func TestStreamsThroughAHandover(t *testing.T) {
	l := newSelf(t)
	up := upstream(t)
	l.serve("--proxy", up.URL, "--hup-probation", "500ms", "--drain-timeout", "20s")

	ws, err := dialSocket(l.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	ended := make(chan error, 1)
	first, err := http.Get("http://" + l.addr + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Body.Close()
	go func() {
		b, err := io.ReadAll(first.Body)
		if err == nil && !bytes.HasSuffix(b, []byte("\n\n")) {
			err = fmt.Errorf("it ended within an event: %q", b[max(len(b)-40, 0):])
		}
		ended <- err
	}()
	if got, err := ws.echo("before"); got != "\x81before" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}

	l.hangup()
	echoes := 0
	for ; ; echoes++ { // until told
		got, err := ws.echo("after")
		if err != nil {
			t.Fatalf("after %d echoes: %v", echoes, err)
		}
		if got == "\x88\x03\xe9" {
			break
		}
		if got != "\x81after" {
			t.Fatalf("%q", got)
		}
		time.Sleep(time.Millisecond) // so that the loop does not take the processor from the rest
	}
	t.Logf("%d echoes between the handover and the goodbye", echoes)
	ws.Write([]byte{0x88, 0x82, 0, 0, 0, 0, 3, 0xe9})
	if b, err := io.ReadAll(ws.r); err != nil || len(b) > 0 {
		t.Errorf("after the close frame: %q, %v", b, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("event stream: %v", err)
	}

	again, err := dialSocket(l.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got, err := again.echo("new"); got != "\x81new" || err != nil {
		t.Errorf("a new one: %q, %v", got, err)
	}
	res, err := http.Get("http://" + l.addr + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if line, err := bufio.NewReader(res.Body).ReadString('\n'); line != "id: 0\n" || err != nil {
		t.Errorf("a new stream: %q, %v", line, err)
	}
}

// Uploads go through three handovers and none is lost or spoiled; each has one line in the log, that all generations write.
func TestUploadsThroughHandovers(t *testing.T) {
	size := 50 << 20
	if testing.Short() {
		size = 5 << 20
	}
	l := newSelf(t)
	up := upstream(t)
	access := filepath.Join(l.dir, "access.log")
	l.serve("--proxy", up.URL, "--access-log", access, "--hup-probation", "300ms")

	body := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	want := fmt.Sprintf("%d %08x <nil>", len(body), crc32.ChecksumIEEE(body))
	var done atomic.Bool
	var sent atomic.Int64
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			c := &http.Client{Transport: &http.Transport{}}
			defer c.CloseIdleConnections()
			for !done.Load() {
				res, err := c.Post("http://"+l.addr+"/upload", "text/plain", io.MultiReader(bytes.NewReader(body))) // chunked, and never repeated
				if err != nil {
					t.Error(err)
					return
				}
				b, err := io.ReadAll(res.Body)
				res.Body.Close()
				if string(b) != want || err != nil {
					t.Errorf("%s %q, %v, want %q", res.Status, b, err, want)
				}
				sent.Add(1)
			}
		})
	}
	for range 3 {
		before := sent.Load()
		l.hangup()
		l.wait("uploads", func() bool { return sent.Load() >= before+3 || t.Failed() })
	}
	done.Store(true)
	wg.Wait()
	t.Logf("%d uploads of %d MB", sent.Load(), size>>20)

	var lines int64
	seen := map[int]bool{}
	l.wait("a line for each", func() bool {
		b, err := os.ReadFile(access)
		if err != nil {
			t.Fatal(err)
		}
		lines = 0
		for text := range strings.Lines(string(b)) {
			var e struct {
				Generation, Status int
				Path               string
			}
			if err := json.Unmarshal([]byte(text), &e); err != nil {
				t.Fatalf("line %q: %v", text, err)
			}
			if e.Path == "/upload" && e.Status == 200 {
				lines++
				seen[e.Generation] = true
			}
		}
		return lines >= sent.Load()
	})
	if lines != sent.Load() || len(seen) < 3 {
		t.Errorf("%d lines of %d uploads, of the generations %v", lines, sent.Load(), seen)
	}
}

// An upstream that dies is told apart from one that is ill, and comes back without a restart.
func TestUpstreamDiesAndComesBack(t *testing.T) {
	l := newSelf(t)
	address := freeAddress(t)
	l.serve("--proxy", "http://"+address)
	get := func() (int, string) {
		res, err := http.Get("http://" + l.addr + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	if code, text := get(); code != 502 || strings.Contains(text, address) {
		t.Errorf("before it is there: %d %q", code, text)
	}
	for range 2 {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		up := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "here") })}
		go up.Serve(ln)
		l.wait("the upstream", func() bool { code, text := get(); return code == 200 && text == "here" })
		up.Close()
		if code, _ := get(); code != 502 && code != 503 {
			t.Errorf("when it is gone: %d", code)
		}
	}
}
