package tuf

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A clock far ahead refuses everything, with the one error that names the clock; one far in the past takes what a right one would
// refuse later. Neither damages the cache: once the clock is right the next check works, without a restart.
func TestWrongClock(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	const decade = 10 * 365 * 24 * time.Hour
	for name, tc := range map[string]struct {
		off  time.Duration
		want error
	}{"far ahead": {decade, ErrExpired}, "far in the past": {-decade, nil}} {
		for _, knows := range []bool{false, true} {
			dir := t.TempDir()
			c := f.client(dir)
			if knows {
				wantNewest(t, c, "beta", "1.0.0")
			}
			right := c.now
			c.now = later(tc.off)
			if err := c.Refresh(t.Context()); !errors.Is(err, tc.want) {
				t.Errorf("%s: refresh: %v", name, err)
			}
			for range 2 {
				if got, err := newest(c, "beta"); !errors.Is(err, tc.want) || err != nil && !strings.Contains(err.Error(), "expired, or the clock is wrong") {
					t.Errorf("%s: %q, %v", name, got, err)
				}
			}
			c.now = right
			wantNewest(t, c, "beta", "1.0.0")
			f.took()
			wantNewest(t, f.client(dir), "beta", "1.0.0")
			if got := f.took(); len(got) != 2 {
				t.Errorf("%s: the next check: %q", name, got)
			}
		}
	}
}

// What a clock in the past took is refused when the clock is right, and replaced by what the feed has by then.
func TestClockThatWasInThePast(t *testing.T) {
	f := newFeed(t)
	f.now = time.Now().Add(-timestampLife - time.Hour)
	f.publish("1.0.0", "beta", "one")
	c := f.client(t.TempDir())
	right := c.now
	c.now = later(-timestampLife)
	wantNewest(t, c, "beta", "1.0.0")
	c.now = right
	if _, err := c.Index(t.Context(), "beta", linux); !errors.Is(err, ErrExpired) {
		t.Errorf("asked again without a refresh: %v", err)
	}
	if _, err := newest(c, "beta"); !errors.Is(err, ErrExpired) {
		t.Errorf("refreshed: %v", err)
	}
	f.now = time.Now()
	f.publish("1.1.0", "beta", "two")
	wantNewest(t, c, "beta", "1.1.0")
}

// Over https a wrong clock meets the server's certificate first. It is the same state, and as for the network, it may pass.
func TestWrongClockMeetsTheCertificate(t *testing.T) {
	f := newFeed(t)
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	tr := srv.Client().Transport.(*http.Transport).Clone()
	tr.TLSClientConfig.Time = later(-100 * 365 * 24 * time.Hour)
	c, err := NewClient(srv.URL, f.root, t.TempDir(), ClientOptions{Transport: tr})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Refresh(t.Context()); !errors.Is(err, ErrExpired) || !errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v", err)
	}
}

// A tag that is not unique must not hold a client to bytes that lead to nothing: the next check asks without it.
func TestTagOfBytesThatDoNotVerify(t *testing.T) {
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	tagged := func() { // every timestamp has the same tag
		f.setLie(answer("/timestamp.json", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"same"`)
			if r.Header.Get("If-None-Match") == `"same"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			bytesOf(f.reading("metadata/timestamp.json"))(w, r)
		}))
	}
	tagged()
	c := f.client(t.TempDir())
	wantNewest(t, c, "beta", "1.0.0")
	f.rotate() // what is cached is not signed by the right key any more
	tagged()
	if got, err := newest(c, "beta"); !errors.Is(err, ErrBadSignature) {
		t.Errorf("held to the old timestamp: %q, %v", got, err)
	}
	wantNewest(t, c, "beta", "1.0.0")
}
