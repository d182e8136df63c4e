package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func flush(w http.ResponseWriter) { http.NewResponseController(w).Flush() }

// endless sends until nobody listens, without a length.
func endless(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write(bytes.Repeat([]byte("x"), 4096)); err != nil {
			return
		}
	}
}

func TestGet(t *testing.T) {
	const limit = 100
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, s) }
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for name, test := range map[string]struct {
		h    http.HandlerFunc
		want error
	}{
		"whole":            {text("hello"), nil},
		"at the limit":     {text(strings.Repeat("x", limit)), nil},
		"announced longer": {text(strings.Repeat("x", limit+1)), ErrOversized},
		"endless":          {endless, ErrOversized},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "50")
			io.WriteString(w, "hel")
			flush(w)
			panic(http.ErrAbortHandler)
		}, ErrTruncated},
		"html": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "Text/HTML; charset=utf-8")
			io.WriteString(w, "log in")
		}, ErrHTML},
		"html in disguise": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, "\n <html>")
		}, ErrHTML},
		"compressed": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, "\x1f\x8b")
		}, ErrMalformed},
		"gone":                      {status(410), ErrNotFound},
		"forbidden":                 {status(403), ErrNotFound},
		"busy":                      {status(429), ErrUnreachable},
		"unchanged, and not asked":  {status(304), errAny},
		"part of it, and not asked": {status(206), errAny},
		"nothing":                   {status(204), errAny},
	} {
		s := serve(t, test.h)
		f, err := newClient(t, Options{}).Get(t.Context(), s.URL, limit, Validators{})
		if (err == nil) != (test.want == nil) || test.want != nil && test.want != errAny && !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if int64(len(f.Body)) > limit {
			t.Errorf("%s: %d bytes", name, len(f.Body))
		}
	}
}

var errAny = errors.New("any")

// Both validators are given back as they came; the answer 304 keeps them.
func TestGetConditionally(t *testing.T) {
	const date = "Fri, 01 May 2026 12:00:00 GMT"
	asked := make(chan string, 1)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("If-None-Match") + " " + r.Header.Get("If-Modified-Since")
		w.Header().Set("Last-Modified", date)
		if r.URL.Path == "/tagged" {
			w.Header().Set("ETag", `W/"v1"`) // a weak one is good for this
		}
		at, _ := http.ParseTime(date)
		http.ServeContent(w, r, "", at, strings.NewReader("hello"))
	})
	c := newClient(t, Options{})
	for path, want := range map[string]Validators{"/tagged": {`W/"v1"`, date}, "/dated": {"", date}} {
		f, err := c.Get(t.Context(), s.URL+path, 10, Validators{})
		if err != nil || string(f.Body) != "hello" || f.NotModified || f.Validators != want {
			t.Fatalf("%s: %+v, %v", path, f, err)
		}
		if got := <-asked; got != " " {
			t.Errorf("%s: asked with %q", path, got)
		}
		f, err = c.Get(t.Context(), s.URL+path, 10, f.Validators)
		if err != nil || f.Body != nil || !f.NotModified || f.Validators != want {
			t.Errorf("%s again: %+v, %v", path, f, err)
		}
		if got := <-asked; got != want.ETag+" "+date {
			t.Errorf("%s again: asked with %q", path, got)
		}
	}
}

// What was asked, of whom, and when to come back; and no secret.
func TestErrorsSayWhatWasAsked(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.Header().Set("X-RateLimit-Remaining", "0")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	u := strings.Replace(s.URL, "://", "://hunter1:hunter2@", 1) + "/file?token=hunter3"
	_, err := newClient(t, Options{}).Get(t.Context(), u, 10, Validators{})
	var status *HTTPError
	if !errors.As(err, &status) || status.Status != 429 || status.Wait != 2*time.Minute || status.Header.Get("X-RateLimit-Remaining") != "0" {
		t.Fatalf("got %v", err)
	}
	var waits interface{ RetryAfter() time.Duration }
	if !errors.As(err, &waits) || waits.RetryAfter() != 2*time.Minute {
		t.Errorf("RetryAfter of %v", err)
	}
	s.Close()
	_, gone := newClient(t, Options{}).Get(t.Context(), u, 10, Validators{})
	_, bad := newClient(t, Options{}).Get(t.Context(), u+"\x7f", 10, Validators{})
	for _, err := range []error{err, gone, bad} {
		if err == nil || strings.Contains(err.Error(), "hunter") {
			t.Errorf("got %v", err)
		}
	}
}

func TestTimeoutAndCancellation(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "h")
		flush(w)
		<-r.Context().Done()
	})
	if _, err := newClient(t, Options{Timeout: 30 * time.Millisecond}).Get(t.Context(), s.URL, 10, Validators{}); !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "timed out") {
		t.Errorf("a body that never ends: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := newClient(t, Options{}).Get(ctx, s.URL, 10, Validators{}); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnreachable) {
		t.Errorf("canceled by the caller: %v", err)
	}
}
