package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
)

// examine returns the states of the checks, the worst of each name.
func examine(t *testing.T, code int, args ...string) map[string]string {
	t.Helper()
	said := want(t, code, append([]string{"doctor", "feed", "--json"}, args...)...)
	var r doctorResult
	if err := json.Unmarshal([]byte(said), &r); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	worst := map[string]string{}
	for _, f := range r.Findings {
		if f.State != stateOK && f.Hint == "" {
			t.Errorf("%s: no hint", f.Check)
		}
		if worst[f.Check] == "" || f.State == stateFailure || worst[f.Check] == stateOK {
			worst[f.Check] = f.State
		}
	}
	return worst
}

// healthyFeed is a small feed whose root key was taken away, as it should be.
func healthyFeed(t *testing.T) *tuf.Repository {
	t.Helper()
	r := smallFeed(t)
	if err := os.Remove("feed-keys/root.key"); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDoctorFindsNothing(t *testing.T) {
	healthyFeed(t)
	for check, state := range examine(t, 0, "--strict") {
		if state != stateOK {
			t.Errorf("%s: %s", check, state)
		}
	}
	if said := want(t, 0, "doctor", "feed"); !strings.Contains(said, "failed: 0, warnings: 0") {
		t.Errorf("it says %s", said)
	}
	want(t, exitUsage, "doctor")
}

// TestDoctorFinds: each thing that is broken has its finding, and that one alone.
func TestDoctorFinds(t *testing.T) {
	payload := func(t *testing.T) string {
		paths, err := filepath.Glob("feed/targets/1.1.0/*amd64*")
		if err != nil || len(paths) == 0 {
			t.Fatal("no payload", err)
		}
		return paths[0]
	}
	check := func(errs ...error) {
		for _, err := range errs {
			if err != nil {
				panic(err)
			}
		}
	}
	for name, c := range map[string]struct {
		hurt         func(t *testing.T, r *tuf.Repository)
		check, state string
	}{
		"a key that others may read": {func(t *testing.T, _ *tuf.Repository) { check(os.Chmod("feed-keys/online.key", 0o644)) }, "keys", stateFailure},
		"the root key beside others": {func(t *testing.T, _ *tuf.Repository) {
			b, err := os.ReadFile("feed-keys/online.key")
			check(err, os.WriteFile("feed-keys/root.key", b, 0o600))
		}, "root-key", stateFailure},
		"a payload that is gone": {func(t *testing.T, _ *tuf.Repository) { check(os.Remove(payload(t))) }, "files", stateFailure},
		"a payload that changed": {func(t *testing.T, _ *tuf.Repository) {
			check(os.WriteFile(payload(t), []byte("1.1.0 for amd65"), 0o644))
		}, "files", stateFailure},
		"an index that is gone": {func(t *testing.T, _ *tuf.Repository) { check(os.RemoveAll("feed/targets/beta")) }, "files", stateFailure},
	} {
		t.Run(name, func(t *testing.T) {
			r := healthyFeed(t)
			c.hurt(t, r)
			for check, state := range examine(t, exitVerify) {
				if want := map[bool]string{true: c.state, false: stateOK}[check == c.check]; state != want {
					t.Errorf("%s: %s, want %s", check, state, want)
				}
			}
		})
	}
	t.Run("a forged signature", func(t *testing.T) {
		healthyFeed(t)
		b, err := os.ReadFile("feed/metadata/timestamp.json")
		check(err, os.WriteFile("feed/metadata/timestamp.json", []byte(strings.Replace(string(b), `"version":`, `"version": 1`, 1)), 0o644))
		if got := examine(t, exitVerify); got["signatures"] != stateFailure {
			t.Errorf("found %v", got)
		}
	})
}

// TestDoctorWarnsInTime: well before a role expires, and when it has.
func TestDoctorWarnsInTime(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		age                              time.Duration
		root, targets, snapshot, stamped string
		code                             int
	}{
		{0, stateOK, stateOK, stateOK, stateOK, 0},
		{8 * day, stateOK, stateOK, stateOK, stateWarning, 0},
		{15 * day, stateOK, stateOK, stateOK, stateFailure, exitVerify},
		{21 * day, stateOK, stateOK, stateWarning, stateFailure, exitVerify},
		{121 * day, stateOK, stateWarning, stateFailure, stateFailure, exitVerify},
		{306 * day, stateWarning, stateFailure, stateFailure, stateFailure, exitVerify},
		{366 * day, stateFailure, stateFailure, stateFailure, stateFailure, exitVerify},
	} {
		t.Chdir(t.TempDir())
		then := time.Now().Add(-c.age)
		if _, err := tuf.Init(t.Context(), "feed", tuf.InitOptions{App: "hello", PlaintextKeys: true, Now: func() time.Time { return then }}); err != nil {
			t.Fatal(err)
		}
		os.Remove("feed-keys/root.key")
		got := examine(t, c.code)
		for role, want := range map[string]string{"root": c.root, "targets": c.targets, "snapshot": c.snapshot, "timestamp": c.stamped} {
			if got["expiry-"+role] != want {
				t.Errorf("after %s: %s is %s, want %s", c.age, role, got["expiry-"+role], want)
			}
		}
		if c.stamped == stateWarning {
			want(t, exitFailed, "doctor", "feed", "--strict")
			if _, _, stderr := moult(t, "promote", "feed", "1.0.0"); !strings.Contains(stderr, "error") {
				t.Errorf("promote: %s", stderr)
			}
		}
	}
}

// TestDoctorLooksAtTheServer: each rule for those who host a feed, broken in turn.
func TestDoctorLooksAtTheServer(t *testing.T) {
	r := healthyFeed(t)
	var change func(w http.ResponseWriter, req *http.Request) bool // true: answered
	files := http.FileServer(http.Dir("feed"))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case strings.HasSuffix(req.URL.Path, "/timestamp.json"):
			b, _ := os.ReadFile("feed/metadata/timestamp.json")
			d, _, _ := release.DigestReader(strings.NewReader(string(b)))
			w.Header().Set("ETag", `"`+d.Short()+`"`)
			w.Header().Set("Cache-Control", "no-cache")
		default:
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		if _, err := os.Stat(filepath.Join("feed", req.URL.Path)); err != nil {
			w.Header().Set("Cache-Control", "max-age=60")
		}
		if change == nil || !change(w, req) {
			files.ServeHTTP(w, req)
		}
	}))
	t.Cleanup(srv.Close)
	is := func(name string) func(req *http.Request) bool {
		return func(req *http.Request) bool { return strings.HasSuffix(req.URL.Path, name) }
	}
	set := func(which func(*http.Request) bool, key, value string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, req *http.Request) bool {
			if which(req) {
				if w.Header().Del(key); value != "" {
					w.Header().Set(key, value)
				}
			}
			return false
		}
	}
	fresh, err := os.ReadFile("feed/metadata/timestamp.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(http.ResponseWriter, *http.Request) bool
		check  string
		state  string
		code   int
	}{
		"all as it should be":       {nil, "", "", 0},
		"a timestamp held for long": {set(is("/timestamp.json"), "Cache-Control", "public, s-maxage=86400"), "cache-timestamp", stateWarning, 0},
		"no ETag":                   {set(is("/timestamp.json"), "ETag", ""), "etag", stateWarning, 0},
		"an ETag that is ignored": {func(w http.ResponseWriter, req *http.Request) bool {
			req.Header.Del("If-None-Match")
			return false
		}, "etag", stateWarning, 0},
		"roots not cached": {set(is("/1.root.json"), "Cache-Control", "no-store"), "cache-immutable", stateWarning, 0},
		"a 404 for a year": {func(w http.ResponseWriter, req *http.Request) bool {
			if is("/2.root.json")(req) {
				w.Header().Set("Cache-Control", "max-age=31536000")
				w.WriteHeader(http.StatusNotFound)
				return true
			}
			return false
		}, "cache-missing", stateWarning, 0},
		"no ranges":       {func(w http.ResponseWriter, req *http.Request) bool { req.Header.Del("Range"); return false }, "range", stateWarning, 0},
		"a clock far off": {set(is("/timestamp.json"), "Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)), "clock", stateWarning, 0},
		"an older timestamp": {func(w http.ResponseWriter, req *http.Request) bool {
			if is("/timestamp.json")(req) {
				w.Header().Set("ETag", `"old"`)
				if req.Header.Get("If-None-Match") == `"old"` {
					w.WriteHeader(http.StatusNotModified)
					return true
				}
				w.Write(fresh)
				return true
			}
			return false
		}, "current", stateWarning, 0},
		"a login page for everything": {func(w http.ResponseWriter, req *http.Request) bool {
			w.Header().Set("Content-Type", "text/html")
			w.Write([]byte("<html>"))
			return true
		}, "served", stateFailure, exitVerify},
	} {
		t.Run(name, func(t *testing.T) {
			change = c.change
			for check, state := range examine(t, c.code, "--url="+srv.URL) {
				want := stateOK
				switch check {
				case c.check:
					want = c.state
				case "https":
					want = stateWarning
				}
				if state != want {
					t.Errorf("%s: %s, want %s", check, state, want)
				}
			}
		})
	}
}

func TestMaxAge(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"": 0, "no-store": 0, "max-age=60": time.Minute, "public, max-age=60, s-maxage=120": 2 * time.Minute, "max-age=60, no-cache": 0, "max-age=x": 0,
	} {
		if got := maxAge(s); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
}
