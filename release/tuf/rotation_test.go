package tuf

import (
	"errors"
	"math"
	"net/http"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// A thief of the online key pushes version numbers as far as they go, so that nothing honest is ever newer. The next root names
// another key, and clients forget what the old one signed (TUF 5.3.11): they work again, over HTTP, with their old caches.
func TestFastForwardRecovers(t *testing.T) {
	s := newScene(t)
	for name, version := range map[string]int64{"2^31": 1 << 31, "2^63-1": math.MaxInt64} {
		m := s.mirror(t)
		c := attack{}.client(t, s, m, t.TempDir())
		theft := s.forge(forgery{version: version, snapshot: func(sn *metadata.SnapshotType) {
			sn.Meta["else.json"] = described(version, nil)
		}})
		m.lie.Store(&theft)
		if v, _, err := install(c); err != nil || v != "1.1.0" {
			t.Fatalf("%s: %q, %v", name, v, err)
		}
		m.lie.Store(new(lie))
		if v, _, err := install(c); err != nil || v != "1.1.0" {
			t.Errorf("%s: the honest feed is behind, and not yet for long: %q, %v", name, v, err)
		}
		honest := s.rotated(4)
		m.lie.Store(&honest)
		for range 2 {
			if v, _, err := install(c); err != nil || v != "1.1.0" {
				t.Errorf("%s: after the rotation: %q, %v", name, v, err)
			}
		}
		if got := c.trusted.Timestamp.Signed.Version; got != 4 {
			t.Errorf("%s: the timestamp is at %d", name, got)
		}
		// What the thief signs now is nobody's.
		m.lie.Store(&theft)
		if err := c.Refresh(t.Context()); !errors.Is(err, ErrBadSignature) {
			t.Errorf("%s: the old key: %v", name, err)
		}
	}
}

// With the online key alone, a thief cannot lead a client back to targets that are older than what it knows.
func TestRollbackOfTargets(t *testing.T) {
	s := newScene(t)
	m := s.mirror(t)
	c := attack{}.client(t, s, m, t.TempDir())
	if v, _, err := install(c); err != nil || v != "1.1.0" {
		t.Fatalf("%q, %v", v, err)
	}
	back := s.forge(forgery{snapshot: func(sn *metadata.SnapshotType) {
		sn.Meta["targets.json"] = described(2, s.reading("metadata/2.targets.json"))
	}})
	m.lie.Store(&back)
	if v, _, err := install(c); !errors.Is(err, ErrRollback) {
		t.Errorf("older targets: %q, %v", v, err)
	}
}

// A panic below any request is an error, and the client works on. (What is known to make go-tuf panic does not reach it:
// TestPromiseG18, the signed nulls.)
func TestPanicAtEveryRequest(t *testing.T) {
	s := newScene(t)
	for kind, re := range fileKinds {
		m := s.mirror(t)
		panics := true
		c, err := NewClient(m.url, s.root, t.TempDir(), ClientOptions{App: "hello", Transport: tripper(func(r *http.Request) (*http.Response, error) {
			if panics && re.MatchString(r.URL.Path) {
				panic("as a parser would")
			}
			return http.DefaultTransport.RoundTrip(r)
		})})
		if err != nil {
			t.Fatal(err)
		}
		if kind == "payload" {
			continue // which go-tuf has no part in
		}
		if v, _, err := install(c); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %q, %v", kind, v, err)
		}
		panics = false
		if v, _, err := install(c); err != nil || v != "1.1.0" {
			t.Errorf("%s, afterwards: %q, %v", kind, v, err)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
