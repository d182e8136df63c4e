package proxy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// wsFrame is a frame as a server sends it.
func wsFrame(opcode byte, payload string) []byte {
	b := []byte{0x80 | opcode}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}

func TestFrames(t *testing.T) {
	var stream []byte
	ends := map[int]bool{0: true}
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536} {
		stream = append(stream, wsFrame(2, strings.Repeat("x", n))...)
		ends[len(stream)] = true
	}
	stream = append(stream, 0x81, 0x83, 1, 2, 3, 4, 'a', 'b', 'c') // masked
	ends[len(stream)] = true
	var f frame
	for i, c := range stream {
		f.follow([]byte{c})
		if f.between() != ends[i+1] {
			t.Fatalf("after %d bytes: between frames %v", i+1, f.between())
		}
	}
	f = frame{}
	for at := 0; at < len(stream); {
		at += f.skip(stream[at:])
		if !ends[at] || !f.between() {
			t.Fatalf("skipped to %d", at)
		}
	}
	f.follow(wsFrame(8, "\x03\xe8"))
	if !f.closed {
		t.Error("a close frame was not seen")
	}
}

// FuzzFrames: however the bytes come, frames end at the same places.
func FuzzFrames(f *testing.F) {
	f.Add(append(wsFrame(1, "hello"), wsFrame(8, "")...), 3)
	f.Add(wsFrame(2, strings.Repeat("x", 130)), 1)
	f.Add([]byte{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5}, 7)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		cut = min(max(cut, 0), len(b))
		var whole, parts, single frame
		whole.follow(b)
		parts.follow(b[:cut])
		parts.follow(b[cut:])
		for i := range b {
			single.follow(b[i : i+1])
		}
		if whole.between() != parts.between() || whole.left != single.left || whole.closed != single.closed || whole.have != parts.have {
			t.Errorf("%+v, %+v, %+v", whole, parts, single)
		}
	})
}

// upgrade opens a WebSocket through s, as far as the proxy cares: the accept key is not computed.
func upgrade(t *testing.T, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(c, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("upgrade: %v, %v", res, err)
	}
	return c, r
}

// script is an upstream that switches protocols and does with the connection what it is told.
func script(t *testing.T, do func(net.Conn, *bufio.Reader)) *httptest.Server {
	return back(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", r.Header.Get("Upgrade"))
		w.WriteHeader(101)
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		do(c, rw.Reader)
	})
}

func drainOf(c chan struct{}) func(context.Context) <-chan struct{} {
	return func(context.Context) <-chan struct{} { return c }
}

// A client is told to go when a frame has ended, and nothing of another one follows.
func TestWebSocketGoodbyeBetweenFrames(t *testing.T) {
	drain := make(chan struct{})
	ours, client := net.Pipe()
	defer client.Close()
	tu := newTunnel(ours, drain)
	defer tu.Close()
	expect := func(want []byte) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
	}
	written := make(chan error, 1)
	write := func(b []byte) {
		n, err := tu.Write(b)
		if n != len(b) && err == nil {
			err = io.ErrShortWrite
		}
		written <- err
	}
	message := wsFrame(1, "0123456789")
	go write(append(wsFrame(1, "hello"), message[:5]...))
	expect(append(wsFrame(1, "hello"), message[:5]...))
	close(drain)
	wait(t, "the end", func() bool { tu.mu.Lock(); defer tu.mu.Unlock(); return tu.leaving })
	go write(append(message[5:], wsFrame(1, "too late")...))
	expect(append(message[5:], goingAway...))
	for range 2 {
		if err := <-written; err != nil {
			t.Error(err)
		}
	}
	go write(wsFrame(1, "later still"))
	if err := <-written; err != nil {
		t.Error(err)
	}
}

// Through real connections: goodbye is said at once between two frames, and the client's answer reaches the upstream. After the upstream's own
// close frame nothing is said.
func TestWebSocketGoodbye(t *testing.T) {
	for _, closing := range []bool{false, true} {
		drain, heard := make(chan struct{}), make(chan string, 1)
		up := script(t, func(c net.Conn, r *bufio.Reader) {
			b := make([]byte, 11) // a masked frame
			io.ReadFull(r, b)
			c.Write(wsFrame(1, string(b[6:])))
			if closing {
				c.Write(wsFrame(8, "\x03\xe8"))
			}
			rest, _ := io.ReadAll(r)
			heard <- string(rest)
		})
		s := front(t, Options{Routes: routes(t, up.URL), Draining: drainOf(drain)})
		c, r := upgrade(t, s.Listener.Addr().String())
		c.Write([]byte("\x81\x85\x00\x00\x00\x00hello"))
		want := wsFrame(1, "hello")
		if closing {
			want = append(want, wsFrame(8, "\x03\xe8")...)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("closing %v: %q, %v", closing, got, err)
		}
		close(drain)
		if !closing {
			if _, err := io.ReadFull(r, got[:4]); err != nil || !bytes.Equal(got[:4], goingAway) {
				t.Errorf("%q, %v, want a close frame", got[:4], err)
			}
		}
		const answer = "\x88\x82\x00\x00\x00\x00\x03\xe9"
		io.WriteString(c, answer)
		c.(*net.TCPConn).CloseWrite()
		if got := <-heard; got != answer {
			t.Errorf("closing %v: the upstream heard %q", closing, got)
		}
		if b, err := io.ReadAll(r); err != nil || len(b) > 0 {
			t.Errorf("closing %v: after the close frame came %q, %v", closing, b, err)
		}
	}
}

// An event stream ends between two events, whether it waits for the next one or is within one.
func TestEventStreamEnds(t *testing.T) {
	for name, tt := range map[string]struct{ before, after, want string }{
		"waiting":      {"id: 1\ndata: a\n\n", "data: b\n\n", "id: 1\ndata: a\n\n"},
		"within":       {"data: a\n\ndata:", " b\n\ndata: c\n\n", "data: a\n\ndata: b\n\n"},
		"CR LF":        {"data: a\r\n\r\ndata: b\r\n", "\r\ndata: c\r\n\r\n", "data: a\r\n\r\ndata: b\r\n\r"},
		"nothing said": {"", "data: a\n\n", ""},
	} {
		drain := make(chan struct{})
		body, upstream := io.Pipe()
		e := newEvents(body, drain)
		go io.WriteString(upstream, tt.before)
		got := make([]byte, len(tt.before))
		if _, err := io.ReadFull(e, got); err != nil {
			t.Fatal(err)
		}
		close(drain)
		wait(t, "the end", func() bool { e.mu.Lock(); defer e.mu.Unlock(); return e.leaving })
		go io.WriteString(upstream, tt.after)
		rest, err := io.ReadAll(e)
		if all := string(got) + string(rest); err != nil || all != tt.want {
			t.Errorf("%s: %q, %v, want %q", name, all, err, tt.want)
		}
		e.Close()
	}
}

// Through real connections: the client sees a proper end, and the upstream that nobody listens any more.
func TestEventStream(t *testing.T) {
	drain, left := make(chan struct{}), make(chan struct{})
	up := back(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		io.WriteString(w, "data: a\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(left)
	})
	s := front(t, Options{Routes: routes(t, up.URL), Draining: drainOf(drain)})
	res, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got := make([]byte, 9)
	if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != "data: a\n\n" {
		t.Fatalf("%q, %v", got, err)
	}
	close(drain)
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
		t.Errorf("then %q, %v", rest, err)
	}
	<-left
}
