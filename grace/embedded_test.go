//go:build unix

package grace_test

import (
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moult-go/moult/grace"
)

func init() {
	programs["embedded database"] = func() {
		grace.DefaultProbation = 200 * time.Millisecond
		Example_embeddedDatabase()
	}
}

// TestEmbeddedDatabase: what was written before and between two upgrades is there after them.
func TestEmbeddedDatabase(t *testing.T) {
	t.Parallel()
	addr := freePort(t)
	s := start(t, "embedded database", "LISTEN="+addr)
	s.addr = addr
	s.waitUp()
	put := func(path, value string) {
		t.Helper()
		req, err := http.NewRequest(http.MethodPut, "http://"+addr+path, strings.NewReader(value))
		if err != nil {
			t.Fatal(err)
		}
		tr := &http.Transport{DisableKeepAlives: true}
		res, err := (&http.Client{Transport: tr, Timeout: 30 * time.Second}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if b, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", res.Status, b)
		}
	}
	written := map[string]string{}
	for generation, key := range []string{"/before", "/between", "/after"} {
		put(key, key+"!")
		written[key] = key + "!"
		for key, want := range written {
			if got, err := get(addr, key); err != nil || got != want {
				t.Errorf("generation %d: %s is %q, %v; want %q", generation+1, key, got, err, want)
			}
		}
		if generation == 2 {
			break
		}
		old := s.pids()[0]
		s.signal(old, syscall.SIGHUP)
		eventually(t, "the next generation alone", func() bool { return len(s.pids()) == 1 && s.pids()[0] != old })
	}
	s.signal(s.pids()[0], syscall.SIGTERM)
	eventually(t, "the end", func() bool { return len(s.pids()) == 0 })
}
