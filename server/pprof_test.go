//go:build unix

package server_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestProfilesAsDocumented: curl takes a profile from the admin socket, and go tool pprof reads it. Nobody else gets one.
func TestProfilesAsDocumented(t *testing.T) {
	t.Parallel()
	m := startMetered(t)
	for _, address := range []string{m.public, m.ops} {
		res, err := fresh.Get("http://" + address + "/debug/pprof/heap")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if strings.Contains(res.Header.Get("Content-Type"), "octet-stream") {
			t.Errorf("%s has profiles", address)
		}
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("no curl")
	}
	for profile, want := range map[string]string{
		"heap?gc=1": "Type: inuse_space", "allocs": "Type: alloc_space", "goroutine": "Type: goroutine", "profile?seconds=1": "Type: cpu",
		"block?seconds=1": "Type: delay", "mutex?seconds=1": "Type: delay",
	} {
		t.Run(profile, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "p.pb.gz")
			if out, err := exec.Command(curl, "-sS", "--fail", "--unix-socket", m.admin, "-o", file, "http://admin/debug/pprof/"+profile).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if out, err := exec.Command("go", "tool", "pprof", "-top", file).CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	t.Run("trace", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "trace")
		if out, err := exec.Command(curl, "-sS", "--fail", "--unix-socket", m.admin, "-o", file, "http://admin/debug/pprof/trace?seconds=1").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if b, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(b), "go 1.") {
			t.Errorf("%.20q, %v", b, err)
		}
	})
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	m := startMetered(t)
	c := m.overAdmin()
	for path, want := range map[string]int{
		"":                        http.StatusOK,
		"goroutine?debug=2":       http.StatusOK,
		"cmdline":                 http.StatusNotFound,
		"symbol":                  http.StatusNotFound,
		"heap?debug=3":            http.StatusBadRequest,
		"profile?seconds=301":     http.StatusBadRequest,
		"profile?seconds=-1":      http.StatusBadRequest,
		"trace?seconds=1e9":       http.StatusBadRequest,
		"mutex?seconds=a%20while": http.StatusBadRequest,
	} {
		if res, body := m.get(c, "/debug/pprof/"+path); res.StatusCode != want {
			t.Errorf("%s: %s %q, want %d", path, res.Status, body, want)
		}
	}
	if _, body := m.get(c, "/debug/pprof/"); !strings.Contains(string(body), "heap") {
		t.Errorf("index %q", body)
	}

	// One processor profile at a time, and none outlives whoever asked for it.
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for ctx.Err() == nil { // it may be refused itself, for one of those below
			if req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://admin/debug/pprof/profile?seconds=60", nil); err == nil {
				if res, err := c.Do(req); err == nil {
					res.Body.Close()
				}
			}
		}
	}()
	m.eventually("the first", func() bool {
		res, _ := m.get(c, "/debug/pprof/profile?seconds=1")
		return res.StatusCode == http.StatusConflict
	})
	cancel()
	<-gone
	m.eventually("its end", func() bool {
		res, _ := m.get(c, "/debug/pprof/profile?seconds=1")
		return res.StatusCode == http.StatusOK
	})
}
