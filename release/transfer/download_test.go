package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
)

var quiet = log.New(io.Discard, "", 0)

// payload is what the tests download; random, so that no part looks like another.
var payload = func() []byte {
	b := make([]byte, 300_000)
	rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}()

// corrupt is as long as payload.
var corrupt = bytes.Repeat([]byte("x"), len(payload))

func sum(b []byte) release.Digest { return sha256.Sum256(b) }

// memory is a Sink that keeps its bytes in memory.
type memory struct {
	b         []byte
	validator string
	begun     []int64
	fail      error
}

func (m *memory) Write(p []byte) (int, error) {
	if m.fail != nil {
		return 0, m.fail
	}
	m.b = append(m.b, p...)
	return len(p), nil
}

func (m *memory) Have() (int64, string) { return int64(len(m.b)), m.validator }

func (m *memory) Begin(n int64, validator string) error {
	m.begun = append(m.begun, n)
	m.b, m.validator = m.b[:n], validator
	return nil
}

func (m *memory) Sum() release.Digest { return sum(m.b) }

// host serves a payload as real web servers do, counts what it sends, and may be told to break a body off.
type host struct {
	content []byte
	etag    string
	cut     int64 // break the connection off after so many bytes of a body; 0 never
	sent    atomic.Int64
	asked   atomic.Int64
	ranges  []string
}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.asked.Add(1)
	h.ranges = append(h.ranges, r.Header.Get("Range"))
	if h.etag != "" {
		w.Header().Set("ETag", h.etag)
	}
	http.ServeContent(&cutter{w, h, h.cut}, r, "", time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), bytes.NewReader(h.content))
}

type cutter struct {
	http.ResponseWriter
	h    *host
	left int64
}

func (c *cutter) Write(p []byte) (int, error) {
	broken := c.h.cut > 0 && int64(len(p)) >= c.left
	if broken {
		p = p[:c.left]
	}
	n, err := c.ResponseWriter.Write(p)
	c.h.sent.Add(int64(n))
	c.left -= int64(n)
	if broken {
		flush(c.ResponseWriter)
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// download asks url for payload.
func (m *memory) download(t *testing.T, urls ...string) error {
	t.Helper()
	return newClient(t, Options{StallWindow: 5 * time.Second}).Download(t.Context(), urls, int64(len(payload)), sum(payload), m)
}

func (m *memory) want(t *testing.T, err error) {
	t.Helper()
	if err != nil || !bytes.Equal(m.b, payload) {
		t.Fatalf("%d bytes, %v", len(m.b), err)
	}
}

// A download that was cut goes on where it was: nothing that is there is fetched again, in this process or a later one.
func TestResume(t *testing.T) {
	h := &host{content: payload, etag: `"v1"`, cut: 100_000}
	s := serve(t, h.ServeHTTP)
	var m memory
	for i := range 3 {
		err := m.download(t, s.URL)
		if i < 2 && (!errors.Is(err, ErrUnreachable) || !errors.Is(err, ErrTruncated)) {
			t.Fatalf("cut off: %v", err)
		}
	}
	if h.cut = 0; len(m.b) < len(payload) {
		m.want(t, m.download(t, s.URL))
	}
	// net/http buffers a few KB that an aborted connection may lose
	if over := h.sent.Load() - int64(len(payload)); over < 0 || over > 3*16<<10 {
		t.Errorf("%d bytes served more than needed", over)
	}
	t.Logf("%d bytes served for %d, asked for %q, begun at %d", h.sent.Load(), len(payload), h.ranges, m.begun)
	if h.ranges[0] != "" || !strings.HasPrefix(h.ranges[1], "bytes=") {
		t.Errorf("asked for %q", h.ranges)
	}
	// All there: nothing is asked.
	asked := h.asked.Load()
	m.want(t, m.download(t, s.URL))
	if h.asked.Load() != asked {
		t.Error("a whole file was asked for again")
	}
}

// Only a strong ETag resumes.
func TestWeakValidatorsDoNotResume(t *testing.T) {
	for _, etag := range []string{"", `W/"v1"`, "v1"} {
		h := &host{content: payload, etag: etag, cut: 100_000}
		s := serve(t, h.ServeHTTP)
		var m memory
		if err := m.download(t, s.URL); !errors.Is(err, ErrUnreachable) || len(m.b) == 0 {
			t.Fatalf("%s: cut off: %v, %d bytes", etag, err, len(m.b))
		}
		h.cut = 0
		m.want(t, m.download(t, s.URL))
		if got := strings.Join(h.ranges, ","); got != "," {
			t.Errorf("%s: asked for %q", etag, got)
		}
	}
}

// part is a sink that holds the first n bytes of b.
func part(b []byte, n int) *memory {
	return &memory{b: bytes.Clone(b[:n]), validator: `"v1" elsewhere`}
}

// What a server may say to a request for the rest, and what becomes of it.
func TestAnswersToARange(t *testing.T) {
	partial := func(contentRange, etag string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") == "" {
				w.Header().Set("ETag", `"v1"`)
				w.Write(payload)
				return
			}
			if etag != "" {
				w.Header().Set("ETag", etag)
			}
			w.Header().Set("Content-Range", contentRange)
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(body)
		}
	}
	n, l := 100_000, len(payload)
	good := fmt.Sprintf("bytes %d-%d/%d", n, l-1, l)
	ranged := func(h *host) http.HandlerFunc { return h.ServeHTTP }
	for name, test := range map[string]struct {
		h     http.HandlerFunc
		sink  *memory
		begun string
	}{
		"the rest":                   {partial(good, `"v1"`, payload[n:]), part(payload, n), "[100000]"},
		"total not known":            {partial(fmt.Sprintf("bytes %d-%d/*", n, l-1), "", payload[n:]), part(payload, n), "[100000]"},
		"the file changed":           {ranged(&host{content: payload, etag: `"v2"`}), part(corrupt, n), "[0]"},
		"ranges are not known":       {bytesOf(payload), part(payload, n), "[0]"},
		"another file, If-Range not": {partial(good, `"v2"`, payload[n:]), part(payload, n), "[0]"},
		"from another byte":          {partial(fmt.Sprintf("bytes 0-%d/%d", l-1, l), `"v1"`, payload), part(payload, n), "[0]"},
		"less than the rest":         {partial(fmt.Sprintf("bytes %d-%d/%d", n, n+9, l), `"v1"`, payload[n:n+10]), part(payload, n), "[0]"},
		"of a longer file":           {partial(fmt.Sprintf("bytes %d-%d/%d", n, l-1, l+1), `"v1"`, payload[n:]), part(payload, n), "[0]"},
		"no range at all":            {partial("", `"v1"`, payload[n:]), part(payload, n), "[0]"},
		"416":                        {status416(payload), part(payload, n), "[0]"},
		"what is there is wrong":     {ranged(&host{content: payload, etag: `"v1"`}), part(corrupt, n), "[100000 0 0]"},
		"all there, and wrong":       {ranged(&host{content: payload, etag: `"v1"`}), part(corrupt, l), "[0]"},
		"more than there can be":     {ranged(&host{content: payload, etag: `"v1"`}), &memory{b: make([]byte, l+1), validator: `"v1" x`}, "[0]"},
	} {
		s := serve(t, test.h)
		err := test.sink.download(t, s.URL)
		if err != nil || !bytes.Equal(test.sink.b, payload) {
			t.Errorf("%s: %d bytes, %v", name, len(test.sink.b), err)
		}
		if got := fmt.Sprint(test.sink.begun); got != test.begun {
			t.Errorf("%s: begun at %s, want %s", name, got, test.begun)
		}
	}
}

func bytesOf(b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.Write(b) }
}

func status416(whole []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		w.Write(whole)
	}
}

// It starts over once, not for ever.
func TestStartsOverOnce(t *testing.T) {
	h := &host{content: corrupt, etag: `"v1"`}
	s := serve(t, h.ServeHTTP)
	m := part(payload, 100_000)
	if err := m.download(t, s.URL); !errors.Is(err, ErrDigestMismatch) {
		t.Errorf("got %v", err)
	}
	if h.asked.Load() != 2 || len(m.b) != 0 {
		t.Errorf("%d requests, %d wrong bytes kept", h.asked.Load(), len(m.b))
	}
}

// No answer makes a plain writer see a byte more than was signed for.
func TestDownloadRefuses(t *testing.T) {
	chunked := func(b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			flush(w) // so that no length is announced
			w.Write(b)
		}
	}
	longer := append(bytes.Clone(payload), '!')
	for name, test := range map[string]struct {
		h    http.HandlerFunc
		want error
	}{
		"other bytes":          {bytesOf(corrupt), ErrDigestMismatch},
		"announced longer":     {bytesOf(longer), ErrOversized},
		"announced shorter":    {bytesOf(payload[1:]), ErrTruncated},
		"longer, unannounced":  {chunked(longer), ErrOversized},
		"shorter, unannounced": {chunked(payload[1:]), ErrTruncated},
		"endless":              {endless, ErrOversized},
		"gone":                 {http.NotFound, ErrNotFound},
		"a web page": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Write(payload)
		}, ErrHTML},
		"part of it, uninvited": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusPartialContent)
			w.Write(payload)
		}, errAny},
	} {
		s := serve(t, test.h)
		var got bytes.Buffer
		err := newClient(t, Options{}).Download(t.Context(), []string{s.URL}, int64(len(payload)), sum(payload), &got)
		if err == nil || test.want != errAny && !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if got.Len() > len(payload) {
			t.Errorf("%s: wrote %d bytes", name, got.Len())
		}
	}
	for name, f := range map[string]func(c *Client) error{
		"no address": func(c *Client) error { return c.Download(t.Context(), nil, 1, sum(nil), io.Discard) },
		"no length": func(c *Client) error {
			return c.Download(t.Context(), []string{"http://127.0.0.1:1"}, 0, sum(nil), io.Discard)
		},
		"no digest": func(c *Client) error {
			return c.Download(t.Context(), []string{"http://127.0.0.1:1"}, 1, release.Digest{}, io.Discard)
		},
	} {
		if err := f(newClient(t, Options{})); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// rawServer answers each connection by f: bytes that net/http would never send.
func rawServer(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			f(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return "http://" + ln.Addr().String()
}

// Bodies broken in ways that a server of net/http never breaks them.
func TestBrokenBodies(t *testing.T) {
	head := func(c net.Conn, h string) {
		c.Read(make([]byte, 4096))
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\n%s\r\n", h)
	}
	for name, f := range map[string]func(net.Conn){
		"reset in the body": func(c net.Conn) {
			head(c, fmt.Sprintf("Content-Length: %d\r\n", len(payload)))
			c.Write(payload[:1000])
			c.(*net.TCPConn).SetLinger(0)
		},
		"bad chunk":       func(c net.Conn) { head(c, "Transfer-Encoding: chunked\r\n"); io.WriteString(c, "zz\r\nhello") },
		"no last chunk":   func(c net.Conn) { head(c, "Transfer-Encoding: chunked\r\n"); io.WriteString(c, "5\r\nhello\r\n") },
		"closed at once":  func(c net.Conn) {},
		"not HTTP":        func(c net.Conn) { io.WriteString(c, "220 mail.example.com\r\n") },
		"endless header":  func(c net.Conn) { head(c, "X: "+strings.Repeat("x", 1<<20)+"\r\n") },
		"two lengths":     func(c net.Conn) { head(c, "Content-Length: 5\r\nContent-Length: 6\r\n") },
		"negative length": func(c net.Conn) { head(c, "Content-Length: -5\r\n") },
	} {
		var m memory
		if err := m.download(t, rawServer(t, f)); !errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// drip sends a byte, and then one now and then, below any rate, until nobody listens.
func drip(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", `"slow"`)
	for {
		w.Write([]byte("x"))
		flush(w)
		select {
		case <-r.Context().Done():
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestGivesUpOnADrip(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"drip":    drip,
		"silence": func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		s := serve(t, h)
		c := newClient(t, Options{StallWindow: 500 * time.Millisecond})
		begin := time.Now()
		err := c.Download(t.Context(), []string{s.URL}, int64(len(payload)), sum(payload), io.Discard)
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "too slow") || time.Since(begin) > 5*time.Second {
			t.Errorf("%s: %v after %v", name, err, time.Since(begin))
		}
	}
	s := serve(t, drip)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if err := newClient(t, Options{}).Download(ctx, []string{s.URL, s.URL}, int64(len(payload)), sum(payload), &memory{}); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnreachable) {
		t.Errorf("canceled: %v", err)
	}
}

// A mirror that is down, slow, without the file, behind a portal or lying costs its turn.
func TestMirrorsFallOver(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for name, h := range map[string]http.HandlerFunc{
		"404":        http.NotFound,
		"busy":       status(503),
		"portal":     func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/html") },
		"slow":       drip,
		"corrupt":    bytesOf(corrupt),
		"too long":   bytesOf(append(bytes.Clone(corrupt), '!')),
		"too short":  bytesOf(payload[1:]),
		"cut":        (&host{content: payload, etag: `"a"`, cut: 100_000}).ServeHTTP,
		"redirected": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) },
	} {
		good := &host{content: payload, etag: `"b"`}
		second := serve(t, good.ServeHTTP)
		first := serve(t, h)
		var m memory
		c := newClient(t, Options{StallWindow: 300 * time.Millisecond})
		if err := c.Download(t.Context(), []string{first.URL, second.URL}, int64(len(payload)), sum(payload), &m); err != nil || !bytes.Equal(m.b, payload) || good.asked.Load() != 1 {
			t.Errorf("%s: %d bytes, %v, the second was asked %d times", name, len(m.b), err, good.asked.Load())
		}
	}
	var m memory
	second := serve(t, (&host{content: payload}).ServeHTTP)
	m.want(t, m.download(t, "http://127.0.0.1:1/", second.URL))
	missing := serve(t, http.NotFound)
	m = memory{}
	if err := m.download(t, "http://127.0.0.1:1/", missing.URL); !errors.Is(err, ErrUnreachable) || !errors.Is(err, ErrNotFound) {
		t.Errorf("none has it: %v", err)
	}
}

// Two copies of one file with one ETag are one file: the second mirror goes on where the first broke off.
func TestAMirrorGoesOn(t *testing.T) {
	a, b := &host{content: payload, etag: `"same"`, cut: 100_000}, &host{content: payload, etag: `"same"`}
	var m memory
	m.want(t, m.download(t, serve(t, a.ServeHTTP).URL, serve(t, b.ServeHTTP).URL))
	if sent := a.sent.Load() + b.sent.Load(); sent > int64(len(payload))+16<<10 {
		t.Errorf("%d bytes served for %d", sent, len(payload))
	}
}

// What is there came from the last mirror, which is asked first, or it would have to be fetched again.
func TestTheMirrorOfAPartIsAskedFirst(t *testing.T) {
	var urls []string
	for i := range 4 {
		h := &host{content: payload, etag: fmt.Sprintf(`"%d"`, i)}
		urls = append(urls, serve(t, h.ServeHTTP).URL)
	}
	for i, u := range urls {
		m := part(payload, 100_000)
		m.validator = fmt.Sprintf(`"%d" %s`, i, strings.TrimPrefix(u, "http://"))
		m.want(t, m.download(t, urls...))
		if got := fmt.Sprint(m.begun); got != "[100000]" {
			t.Errorf("part of mirror %d: begun at %s", i, got)
		}
	}
}

// A plain writer cannot be begun again: what the first mirror did wrong is the error.
func TestAPlainWriterIsBegunOnce(t *testing.T) {
	first, second := serve(t, (&host{content: payload, cut: 1000}).ServeHTTP), serve(t, (&host{content: payload}).ServeHTTP)
	var got bytes.Buffer
	err := newClient(t, Options{}).Download(t.Context(), []string{first.URL, second.URL}, int64(len(payload)), sum(payload), &got)
	if !errors.Is(err, ErrTruncated) || errors.Is(err, errSpoiled) || got.Len() >= len(payload) {
		t.Errorf("%d bytes, %v", got.Len(), err)
	}
}

// A full disk is not the network, and no mirror helps.
func TestTellsTheDiskFromTheNetwork(t *testing.T) {
	h := &host{content: payload}
	s := serve(t, h.ServeHTTP)
	full := errors.New("no space left")
	m := &memory{fail: full}
	if err := m.download(t, s.URL, s.URL); !errors.Is(err, full) || errors.Is(err, ErrUnreachable) || h.asked.Load() != 1 {
		t.Errorf("%v, asked %d times", err, h.asked.Load())
	}
}
