package forge

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/updater"
)

// TestAnswers: what forges say when they do not say what was asked for.
func TestAnswers(t *testing.T) {
	k := newKeys(t)
	now := time.Now()
	status := func(code int, header ...string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			fmt.Fprint(w, `{"message": "no"}`)
			return true
		}
	}
	page := func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!DOCTYPE html><title>Sign in</title>")
		return true
	}
	body := func(s string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool { fmt.Fprint(w, s); return true }
	}
	in := func(d time.Duration) string { return fmt.Sprint(now.Add(d).Unix()) }
	for name, tc := range map[string]struct {
		forge  string
		answer func(http.ResponseWriter, *http.Request) bool
		class  updater.Class
		reason string
		wait   time.Duration
	}{
		"primary limit":    {"GitHub", status(403, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", in(40*time.Minute)), updater.Temporary, "rate-limit", 40 * time.Minute},
		"secondary limit":  {"GitHub", status(403, "Retry-After", "120"), updater.Temporary, "rate-limit", 2 * time.Minute},
		"limit, no moment": {"GitHub", status(429), updater.Temporary, "rate-limit", time.Minute},
		"limit, far away":  {"GitHub", status(429, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "99999999999999"), updater.Temporary, "rate-limit", 24 * time.Hour},
		"limit, over":      {"GitHub", status(429, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1"), updater.Temporary, "rate-limit", time.Minute},
		"GitLab's limit":   {"GitLab", status(429, "RateLimit-Remaining", "0", "RateLimit-Reset", in(30*time.Minute)), updater.Temporary, "rate-limit", 30 * time.Minute},
		"forbidden":        {"GitHub", status(403, "X-RateLimit-Remaining", "50"), updater.Permission, "token", 0},
		"no token":         {"Gitea", status(401), updater.Permission, "token", 0},
		"not there":        {"Gitea", status(404), updater.Temporary, "not-found", 0},
		"out of order":     {"Gitea", status(503, "Retry-After", "60"), updater.Temporary, "network", time.Minute},
		"sign in":          {"GitLab", page, updater.Permission, "sign-in", 0},
		"a portal":         {"Gitea", page, updater.Temporary, "wrong-type", 0},
		"no list":          {"Gitea", body(`{"message": "hello"}`), updater.Temporary, "bad-metadata", 0},
		"no JSON":          {"GitLab", body(`[{"tag_name": 1`), updater.Temporary, "bad-metadata", 0},
		"bad digest":       {"Gitea", body(`[{"tag_name":"v1.0.0","assets":[{"name":"x","digest":"sha256:zz"}]}]`), updater.Temporary, "bad-metadata", 0},
		"endless list":     {"Gitea", body(strings.Repeat(" ", maxPage+1)), updater.Verification, "too-long", 0},
		"next page, nowhere": {"Gitea", func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Link", `<http://evilgithub.com/x>; rel="next"`)
			fmt.Fprint(w, `[]`)
			return true
		}, updater.Verification, "bad-metadata", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.answer = tc.answer
			_, err := s.sources(Options{MinisignKey: k.public})[tc.forge].Check(t.Context(), s.query(t, "1.3.0"))
			wantError(t, err, tc.class, tc.reason)
			var wait time.Duration
			var later interface{ RetryAfter() time.Duration }
			if errors.As(err, &later) {
				wait = later.RetryAfter()
			}
			if (wait - tc.wait).Abs() > 5*time.Second {
				t.Errorf("wait %s, want %s", wait, tc.wait)
			}
		})
	}
}

// TestGitHubWithoutToken: by the web pages where they suffice, and by the API where they do not.
func TestGitHubWithoutToken(t *testing.T) {
	k := newKeys(t)
	plain := k.signed(t)
	named := k.signed(t)
	named["hello_1.4.0_checksums.txt"], named["hello_1.4.0_checksums.txt.minisig"] = named["checksums.txt"], named["checksums.txt.minisig"]
	delete(named, "checksums.txt")
	delete(named, "checksums.txt.minisig")
	alone := dist(t)
	delete(alone, "checksums.txt")
	alone[archiveName+".minisig"] = k.file(t, alone[archiveName], "hello", "1.4.0", linux)
	for name, tc := range map[string]struct {
		releases []rel
		channel  string
		byAPI    bool
	}{
		"plain":                    {[]rel{{tag: "v1.4.0", files: plain}}, "stable", false},
		"goreleaser's name":        {[]rel{{tag: "v1.4.0", files: named}}, "stable", false},
		"no checksums":             {[]rel{{tag: "v1.4.0", files: alone}}, "stable", true},
		"another channel":          {[]rel{{tag: "v1.4.0", files: plain}}, "beta", true},
		"the newest has no number": {[]rel{{tag: "stable"}, {tag: "v1.4.0", files: plain}}, "stable", true},
	} {
		s := newSite(t, tc.releases...)
		q := s.query(t, "1.3.0")
		q.Channel = tc.channel
		src := GitHub(s.api.URL+"/o/hello", Options{MinisignKey: k.public})
		offered, err := src.Check(t.Context(), q)
		if err != nil || len(offered) != 1 || offered[0].Version.String() != "1.4.0" {
			t.Errorf("%s: %+v, %v", name, offered, err)
			continue
		}
		var got bytes.Buffer
		if err := src.Fetch(t.Context(), q, offered[0].Full, &got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		api, _ := s.seen()
		if byAPI := slices.ContainsFunc(api, func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }); byAPI != tc.byAPI {
			t.Errorf("%s: by the API: %v", name, byAPI)
		}
	}
}
