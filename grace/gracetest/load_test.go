package gracetest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moult-go/moult/grace/gracetest"
)

// TestCounts: every population gets through to a good server, and a bad one's failures have names.
func TestCounts(t *testing.T) {
	var bad atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if bad.Load() {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Version", "1")
		if r.URL.Path == "/stream" {
			gracetest.Stream(w, r)
		}
	}))
	defer srv.Close()
	addr := strings.TrimPrefix(srv.URL, "http://")
	all := gracetest.Options{Addr: addr, KeepAlive: 1, Idle: 1, New: 1, Slow: 1, Bytewise: 1, IdlePause: time.Millisecond,
		Pipelined: 1, Streaming: 1, StreamPath: "/stream", Distant: 1, Hold: 1, Late: 1, LatePause: time.Millisecond, Silent: 1}

	r := until(gracetest.Start(all), 100).Stop()
	if _, failures := r.Total(); failures != 0 || len(r.Requests) != 11 {
		t.Errorf("good server: %+v", r)
	}

	bad.Store(true)
	r = until(gracetest.Start(all), 20).Stop()
	requests, failures := r.Total()
	if failures != requests || r.Failures[gracetest.KeepAlive]["no answer"]+r.Failures[gracetest.KeepAlive]["truncated or no answer"]+r.Failures[gracetest.KeepAlive]["reset"] == 0 {
		t.Errorf("bad server: %+v", r)
	}

	srv.Close()
	r = until(gracetest.Start(all), 20).Stop()
	if n := r.Failures[gracetest.New]["refused"]; n == 0 || n != r.Requests[gracetest.New] {
		t.Errorf("no server: %+v", r)
	}
}

func until(l *gracetest.Load, n int) *gracetest.Load {
	for end := time.Now().Add(20 * time.Second); l.Requests() < n && time.Now().Before(end); {
		time.Sleep(time.Millisecond) // between two looks
	}
	return l
}

func ExampleStart() {
	srv := httptest.NewServer(http.FileServer(http.Dir(".")))
	defer srv.Close()
	load := gracetest.Start(gracetest.Options{Addr: strings.TrimPrefix(srv.URL, "http://"), KeepAlive: 2, New: 1})
	until(load, 10) // here the server would be upgraded
	_, failures := load.Stop().Total()
	fmt.Println("failures:", failures)
	// Output: failures: 0
}
