package forge

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/archive"
	"github.com/moult-go/moult/updater"
)

// sources are the same project on each forge.
func (s *site) sources(o Options) map[string]updater.Source {
	return map[string]updater.Source{
		"GitHub": GitHub(s.api.URL+"/o/hello", o), "Gitea": Gitea(s.api.URL+"/o/hello", o), "GitLab": GitLab(s.api.URL+"/g/sub/hello", o),
	}
}

// TestOffersAndFetches: what goreleaser made, signed by its checksums or by itself, with and without a token, on every forge.
func TestOffersAndFetches(t *testing.T) {
	k := newKeys(t)
	own := dist(t)
	own[archiveName+".minisig"] = k.file(t, own[archiveName], "hello", "1.4.0", linux)
	tokenFile := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(tokenFile, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string]map[string][]byte{"signed checksums": k.signed(t), "signed file": own} {
		for _, token := range []string{"", tokenFile} {
			s := newSite(t, rel{tag: "v1.4.0", files: files, body: "fixes", digests: true})
			if token != "" {
				s.token = "s3cret"
			}
			for forge, src := range s.sources(Options{MinisignKey: k.public, TokenFile: token}) {
				q := s.query(t, "1.3.0")
				offered, err := src.Check(t.Context(), q)
				if err != nil || len(offered) != 1 {
					t.Fatalf("%s, %s, token %q: %v, %v", forge, name, token, offered, err)
				}
				c := offered[0]
				d, n, _ := release.DigestReader(bytes.NewReader(files[archiveName]))
				if c.Version.String() != "1.4.0" || c.Platform != linux || c.Full.SHA256 != d || c.Full.Length != n || c.Full.Format != archive.TarGzip || c.Member != "hello" || !c.Digest.IsZero() {
					t.Errorf("%s, %s: offered %+v", forge, name, c)
				}
				if (c.Minisign != nil) != (name == "signed file") {
					t.Errorf("%s, %s: minisign %v", forge, name, c.Minisign)
				}
				var got bytes.Buffer
				if err := src.Fetch(t.Context(), q, c.Full, &got); err != nil || !bytes.Equal(got.Bytes(), files[archiveName]) {
					t.Errorf("%s, %s: %d bytes, %v", forge, name, got.Len(), err)
				}
				api, storage := s.seen()
				if len(storage) == 0 {
					t.Errorf("%s: no file came from the storage", forge)
				}
				for _, r := range storage {
					if strings.Contains(fmt.Sprint(r.Header, r.URL), "s3cret") {
						t.Errorf("%s: the token went to the storage: %v", forge, r.Header)
					}
				}
				anonymous := slices.ContainsFunc(api, func(r *http.Request) bool { return !strings.Contains(fmt.Sprint(r.Header), "s3cret") })
				if token != "" && anonymous || strings.Contains(src.String(), "s3cret") {
					t.Errorf("%s: requests without the token, or a name with it: %s", forge, src)
				}
			}
		}
	}
}

// TestUnchanged: one request while there is nothing new, conditional where the API is asked.
func TestUnchanged(t *testing.T) {
	k := newKeys(t)
	t.Setenv("FORGE_TEST_TOKEN", "s3cret")
	for _, token := range []string{"", "FORGE_TEST_TOKEN"} {
		s := newSite(t, rel{tag: "v1.4.0", files: k.signed(t)})
		for forge, src := range s.sources(Options{MinisignKey: k.public, TokenEnv: token}) {
			q := s.query(t, "1.4.0")
			for range 2 {
				s.seen()
				offered, err := src.Check(t.Context(), q)
				if err != nil || len(offered) != 1 || offered[0].Version.String() != "1.4.0" || !offered[0].Full.SHA256.IsZero() {
					t.Fatalf("%s: %+v, %v", forge, offered, err)
				}
			}
			api, storage := s.seen()
			byWeb := forge == "GitHub" && token == ""
			if len(api) != 1 || len(storage) != 0 || !byWeb && api[0].Header.Get("If-None-Match") == "" {
				t.Errorf("%s: %d and %d requests, first %v", forge, len(api), len(storage), api[0].Header)
			}
			if byWeb && strings.HasPrefix(api[0].URL.Path, "/api/") {
				t.Errorf("the API was asked without a token: %s", api[0].URL)
			}
		}
	}
}

// TestWhichRelease: by version and channel, over several pages, and never by the order of the list.
func TestWhichRelease(t *testing.T) {
	list := []rel{
		{tag: "nightly"}, {tag: "v2.1.0", draft: true}, {tag: "v1.5.0-rc.1", pre: true}, {tag: "v1.5.0-beta.2", pre: true}, {tag: "v1.4.9", pre: true},
		{tag: "v1.3.7"}, {tag: "v1.4.0"}, {tag: "v1.5.0-beta.10", pre: true}, {tag: "v1.2.0"},
	}
	k := newKeys(t)
	for i := range list {
		files := map[string][]byte{}
		v := strings.TrimPrefix(list[i].tag, "v")
		files["hello_"+v+"_linux_amd64"] = []byte("program")
		if _, err := release.ParseVersion(v); err == nil {
			files["hello_"+v+"_linux_amd64.minisig"] = k.file(t, []byte("program"), "hello", v, linux)
		}
		list[i].files = files
	}
	for _, pageSize := range []int{30, 3, 1} {
		s := newSite(t, list...)
		s.pageSize = pageSize
		for _, tc := range []struct{ channel, installed, asked, want string }{
			{"stable", "1.2.0", "", "1.4.0 1.3.7"},
			{"stable", "1.4.0", "", "1.4.0"},
			{"stable", "", "", "1.4.0"},
			{"beta", "1.4.0", "", "1.5.0-beta.10 1.5.0-beta.2"},
			{"rc", "1.4.0", "", "1.5.0-rc.1"},
			{"alpha", "1.3.0", "", "1.4.0 1.3.7"},
			{"stable", "1.4.0", "1.2.0", "1.2.0"},
		} {
			for forge, src := range map[string]updater.Source{"GitHub": GitHub(s.api.URL+"/o/hello", Options{MinisignKey: k.public}), "Gitea": Gitea(s.api.URL+"/o/hello", Options{MinisignKey: k.public})} {
				q := s.query(t, tc.installed)
				q.Channel = tc.channel
				if tc.asked != "" {
					q.Version = release.MustParseVersion(tc.asked)
				}
				offered, err := src.Check(t.Context(), q)
				var got []string
				for _, c := range offered {
					got = append(got, c.Version.String())
				}
				// A page that has some is enough, so that long histories cost nothing.
				if err != nil || len(got) == 0 || pageSize == 30 && forge == "Gitea" && strings.Join(got, " ") != tc.want {
					t.Errorf("%s, %d a page, %+v: %v, %v", forge, pageSize, tc, got, err)
				}
			}
		}
	}
}

// TestDistrusts: whatever is wrong with what vouches for a file, nothing is offered, and the policy never changes by itself.
func TestDistrusts(t *testing.T) {
	k, other := newKeys(t), newKeys(t)
	arm := release.Platform{OS: "linux", Arch: "arm64"}
	for name, tc := range map[string]struct {
		change func(files map[string][]byte)
		class  updater.Class
		reason string
	}{
		"not signed":        {func(f map[string][]byte) { delete(f, "checksums.txt.minisig") }, updater.Verification, "unsigned"},
		"checksums changed": {func(f map[string][]byte) { f["checksums.txt"] = append(bytes.Clone(f["checksums.txt"]), '\n') }, updater.Verification, "bad-signature"},
		"checksums by another key": {func(f map[string][]byte) {
			f["checksums.txt.minisig"] = other.checksums(t, f["checksums.txt"], "hello", "1.4.0")
		}, updater.Verification, "bad-signature"},
		"checksums of another program": {func(f map[string][]byte) {
			f["checksums.txt.minisig"] = k.checksums(t, f["checksums.txt"], "other", "1.4.0")
		}, updater.Verification, "wrong-app"},
		"checksums of another version": {func(f map[string][]byte) {
			f["checksums.txt.minisig"] = k.checksums(t, f["checksums.txt"], "hello", "1.3.9")
		}, updater.Verification, "wrong-version"},
		"signed as an executable": {func(f map[string][]byte) {
			f["checksums.txt.minisig"] = k.file(t, f["checksums.txt"], "hello", "1.4.0", linux)
		}, updater.Verification, "bad-comment"},
		"no line for the file": {func(f map[string][]byte) {
			f["checksums.txt"] = []byte(strings.Repeat("ab", 32) + "  other_linux_arm64.tar.gz\n")
			f["checksums.txt.minisig"] = k.checksums(t, f["checksums.txt"], "hello", "1.4.0")
		}, updater.Verification, "bad-checksums"},
		"no checksums at all": {func(f map[string][]byte) {
			f["checksums.txt"] = []byte("<html>")
			f["checksums.txt.minisig"] = k.checksums(t, f["checksums.txt"], "hello", "1.4.0")
		}, updater.Temporary, "wrong-type"},
		"signature is a page": {func(f map[string][]byte) { f["checksums.txt.minisig"] = []byte("<!DOCTYPE html>") }, updater.Temporary, "wrong-type"},
		"signature is large":  {func(f map[string][]byte) { f["checksums.txt.minisig"] = make([]byte, 1<<20) }, updater.Verification, "too-long"},
		"checksums are large": {func(f map[string][]byte) { f["checksums.txt"] = bytes.Repeat([]byte("x"), 2<<20) }, updater.Verification, "too-long"},
		"file by another key": {func(f map[string][]byte) {
			f[archiveName+".minisig"] = other.file(t, f[archiveName], "hello", "1.4.0", linux)
		}, updater.Verification, "bad-signature"},
		"file of another program": {func(f map[string][]byte) {
			f[archiveName+".minisig"] = k.file(t, f[archiveName], "other", "1.4.0", linux)
		}, updater.Verification, "wrong-app"},
		"file of another version": {func(f map[string][]byte) {
			f[archiveName+".minisig"] = k.file(t, f[archiveName], "hello", "1.9.0", linux)
		}, updater.Verification, "wrong-version"},
		"file for another platform": {func(f map[string][]byte) {
			f[archiveName+".minisig"] = k.file(t, f[archiveName], "hello", "1.4.0", arm)
		}, updater.Policy, "wrong-platform"},
		"two files of checksums": {func(f map[string][]byte) { f["hello_checksums.txt"] = f["checksums.txt"] }, updater.Verification, "ambiguous"},
		"two programs":           {func(f map[string][]byte) { f["hello-linux-x86_64.tar.gz"] = f[archiveName] }, updater.Verification, "ambiguous"},
		"signed and gone":        {func(f map[string][]byte) { delete(f, "checksums.txt") }, updater.Verification, "unsigned"},
		"empty signature":        {func(f map[string][]byte) { f["checksums.txt.minisig"] = []byte{} }, updater.Verification, "bad-signature"},
	} {
		files := k.signed(t)
		tc.change(files)
		s := newSite(t, rel{tag: "v1.4.0", files: files})
		t.Run(name, func(t *testing.T) {
			_, err := Gitea(s.api.URL+"/o/hello", Options{MinisignKey: k.public}).Check(t.Context(), s.query(t, "1.3.0"))
			wantError(t, err, tc.class, tc.reason)
		})
	}
}

// TestAmbiguousListsBoth, so that whoever reads the error can choose.
func TestAmbiguousListsBoth(t *testing.T) {
	k := newKeys(t)
	files := k.signed(t)
	files["hello-linux-x86_64.tar.gz"] = []byte("x")
	s := newSite(t, rel{tag: "v1.4.0", files: files})
	_, err := Gitea(s.api.URL+"/o/hello", Options{MinisignKey: k.public}).Check(t.Context(), s.query(t, "1.3.0"))
	if err == nil || !strings.Contains(err.Error(), "hello-linux-x86_64.tar.gz, "+archiveName) {
		t.Errorf("%v", err)
	}
}

// TestOneBadRelease: who can publish something, but not sign, cannot keep a good release from those who have not got it.
func TestOneBadRelease(t *testing.T) {
	k := newKeys(t)
	s := newSite(t, rel{tag: "v9.9.9", files: map[string][]byte{"hello_linux_amd64": []byte("evil")}}, rel{tag: "v1.4.0", files: k.signed(t)})
	src := Gitea(s.api.URL+"/o/hello", Options{MinisignKey: k.public})
	offered, err := src.Check(t.Context(), s.query(t, "1.3.0"))
	if err != nil || len(offered) != 1 || offered[0].Version.String() != "1.4.0" {
		t.Errorf("%+v, %v", offered, err)
	}
	_, err = src.Check(t.Context(), s.query(t, "1.4.0"))
	wantError(t, err, updater.Verification, "unsigned")
}

// TestChecksumOnly: the other policy, by its own name.
func TestChecksumOnly(t *testing.T) {
	files := dist(t)
	o := Options{ChecksumInsecure: true}
	s := newSite(t, rel{tag: "v1.4.0", files: files, digests: true})
	for forge, src := range s.sources(o) {
		if offered, err := src.Check(t.Context(), s.query(t, "1.3.0")); err != nil || len(offered) != 1 || offered[0].Minisign != nil {
			t.Errorf("%s: %+v, %v", forge, offered, err)
		}
	}
	sum := sumOf(files[archiveName])
	for name, tc := range map[string]struct {
		change  func(*rel)
		reason  string
		offered bool
	}{
		"split": {func(r *rel) { delete(r.files, "checksums.txt"); r.files[archiveName+".sha256"] = []byte(sum) }, "", true},
		"split, a line": {func(r *rel) {
			delete(r.files, "checksums.txt")
			r.files[archiveName+".sha256"] = []byte(sum + "  " + archiveName + "\n")
		}, "", true},
		"split, another's": {func(r *rel) { delete(r.files, "checksums.txt"); r.files[archiveName+".sha256"] = []byte(sum + "  x\n") }, "bad-checksums", false},
		"the forge's own":  {func(r *rel) { delete(r.files, "checksums.txt"); r.digests = true }, "", true},
		"none":             {func(r *rel) { delete(r.files, "checksums.txt") }, "bad-checksums", false},
		"they differ": {func(r *rel) {
			r.files["checksums.txt"] = []byte(strings.Repeat("ab", 32) + "  " + archiveName + "\n")
			r.digests = true
		}, "digest-mismatch", false},
	} {
		r := rel{tag: "v1.4.0", files: dist(t)}
		tc.change(&r)
		s := newSite(t, r)
		t.Run(name, func(t *testing.T) {
			offered, err := Gitea(s.api.URL+"/o/hello", o).Check(t.Context(), s.query(t, "1.3.0"))
			if tc.offered && (err != nil || len(offered) != 1 || offered[0].Full.SHA256.String() != sum) {
				t.Errorf("%+v, %v", offered, err)
			}
			if !tc.offered {
				wantError(t, err, updater.Verification, tc.reason)
			}
		})
	}
}

func sumOf(b []byte) string {
	d, _, _ := release.DigestReader(bytes.NewReader(b))
	return d.String()
}

// TestWrongPayload: bytes that are not those vouched for.
func TestWrongPayload(t *testing.T) {
	k := newKeys(t)
	files := k.signed(t)
	s := newSite(t, rel{tag: "v1.4.0", files: files})
	src, q := Gitea(s.api.URL+"/o/hello", Options{MinisignKey: k.public}), s.query(t, "1.3.0")
	offered, err := src.Check(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	for reason, change := range map[string]func([]byte) []byte{
		"digest-mismatch": func(b []byte) []byte { b = bytes.Clone(b); b[50] ^= 1; return b },
		"truncated":       func(b []byte) []byte { return b[:20] },
		"too-long":        func(b []byte) []byte { return append(bytes.Clone(b), "more"...) },
	} {
		good := files[archiveName]
		files[archiveName] = change(good)
		err := src.Fetch(t.Context(), q, offered[0].Full, &bytes.Buffer{})
		files[archiveName] = good
		wantError(t, err, updater.Verification, reason)
	}
}

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

func TestOptions(t *testing.T) {
	k := newKeys(t).public
	for name, src := range map[string]updater.Source{
		"no trust":              GitHub("o/hello", Options{}),
		"two policies":          GitHub("o/hello", Options{MinisignKey: k, ChecksumInsecure: true}),
		"no name":               GitHub("hello", Options{MinisignKey: k}),
		"no scheme":             Gitea("example.com/o/hello", Options{MinisignKey: k}),
		"password":              GitLab("https://u:p4ss@example.com/g/hello", Options{MinisignKey: k}),
		"path leads up":         GitHub("../..", Options{MinisignKey: k}),
		"another scheme":        Gitea("ftp://example.com/o/hello", Options{MinisignKey: k}),
		"token in the clear":    Gitea("http://example.com/o/hello", Options{MinisignKey: k, TokenEnv: "X"}),
		"token from two places": GitHub("o/hello", Options{MinisignKey: k, TokenEnv: "X", TokenFile: "x"}),
		"no CA file":            GitHub("o/hello", Options{MinisignKey: k, CAFile: "/nowhere"}),
	} {
		_, err := src.Check(t.Context(), updater.Query{App: "hello", Channel: "stable", CacheDir: t.TempDir()})
		t.Run(name, func(t *testing.T) { wantError(t, err, updater.Usage, "bad-options") })
		if strings.Contains(src.String()+err.Error(), "p4ss") {
			t.Errorf("%s: a password in %s: %v", name, src, err)
		}
	}
	t.Setenv("FORGE_TEST_TOKEN", "two words")
	for _, o := range []Options{{MinisignKey: k, TokenEnv: "FORGE_TEST_TOKEN"}, {MinisignKey: k, TokenEnv: "FORGE_TEST_NONE"}, {MinisignKey: k, TokenFile: "/nowhere"}} {
		_, err := GitHub("o/hello", o).Check(t.Context(), updater.Query{App: "hello", Channel: "stable", CacheDir: t.TempDir()})
		wantError(t, err, updater.Permission, "token")
		if strings.Contains(err.Error(), "words") {
			t.Errorf("the token is in the error: %v", err)
		}
	}
}

// TestTokenStaysAtHome: what the API's answer says of other places gets no token, however they are called.
func TestTokenStaysAtHome(t *testing.T) {
	k := newKeys(t)
	files := k.signed(t)
	evil := newSite(t, rel{tag: "v1.4.0", files: files})
	s := newSite(t)
	s.answer = func(w http.ResponseWriter, r *http.Request) bool {
		// The same machine by another name: another origin.
		at := strings.Replace(evil.api.URL, "127.0.0.1", "localhost", 1)
		fmt.Fprint(w, `[{"tag_name":"v1.4.0","assets":[`)
		for i, n := range (rel{files: files}).names() {
			fmt.Fprintf(w, `%s{"name":%q,"size":%d,"state":"uploaded","url":"%s/api/v3/repos/o/hello/releases/assets/v1.4.0/%s","browser_download_url":"%s/x"}`,
				strings.Repeat(",", min(i, 1)), n, len(files[n]), at, n, at)
		}
		fmt.Fprint(w, `]}]`)
		return true
	}
	t.Setenv("FORGE_TEST_TOKEN", "s3cret")
	src := GitHub(s.api.URL+"/o/hello", Options{MinisignKey: k.public, TokenEnv: "FORGE_TEST_TOKEN"})
	src.Check(t.Context(), s.query(t, "1.3.0"))
	api, storage := evil.seen()
	if len(api)+len(storage) == 0 {
		t.Fatal("nobody went there: the test shows nothing")
	}
	for _, r := range append(api, storage...) {
		if strings.Contains(fmt.Sprint(r.Header, r.URL), "s3cret") {
			t.Errorf("the token went to %s: %v", r.Host, r.Header)
		}
	}
	for a, b := range map[string]string{
		"https://evilgithub.com/x": "https://github.com", "https://github.com.evil.org/": "https://github.com", "http://github.com/": "https://github.com",
		"https://github.com:8443/": "https://github.com", "https://x@github.com/": "https://github.com", "https://api.github.com.": "https://api.github.com",
	} {
		g, err := parseAddress(b+"/o/hello", 2)
		if err != nil || sameOrigin(a, g.origin()) {
			t.Errorf("%s passes for %s, %v", a, b, err)
		}
	}
}

func TestAPIAddresses(t *testing.T) {
	for repository, want := range map[string]string{
		"o/hello":                           "https://api.github.com/repos/o/hello/releases?per_page=30",
		"https://github.com/o/hello.git":    "https://api.github.com/repos/o/hello/releases?per_page=30",
		"https://github.example.com/o/x.y/": "https://github.example.com/api/v3/repos/o/x.y/releases?per_page=30",
	} {
		if got := GitHub(repository, Options{}).(*Source).forge.list(); got != want {
			t.Errorf("%s: %s", repository, got)
		}
	}
	if got := Gitea("https://x.org/git/o/hello", Options{}).(*Source).forge.list(); got != "https://x.org/git/api/v1/repos/o/hello/releases?draft=false&limit=30" {
		t.Error(got)
	}
	if got := GitLab("https://gitlab.com/g/sub/hello", Options{}).(*Source).forge.list(); !strings.HasPrefix(got, "https://gitlab.com/api/v4/projects/g%2Fsub%2Fhello/releases?") {
		t.Error(got)
	}
}

func FuzzReleases(f *testing.F) {
	f.Add([]byte(`[{"tag_name":"v1.0.0","prerelease":false,"assets":[{"name":"x","size":-1,"digest":"sha256:00","url":"http://x"}]}]`))
	f.Add([]byte(`[{"tag_name":"v1.0.0","description":"x","assets":{"links":[{"name":"x","url":"/x","direct_asset_url":""}]}}]`))
	a, err := parseAddress("https://example.com/o/hello", 2)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, d := range []dialect{&github{a, true}, &gitea{a}, &gitlab{a}} {
			list, err := d.parse(b)
			for _, p := range list {
				for _, f := range p.files {
					if f.Length < 0 || len(p.notes) > maxNotes {
						t.Errorf("%+v, %v", p, err)
					}
				}
			}
		}
	})
}

func ExampleGitHub() {
	const publicKey = "RWQ…" // //go:embed minisign.pub
	src := GitHub("moult-go/hello", Options{MinisignKey: publicKey})
	fmt.Println(src)
	// Output: GitHub moult-go/hello
}
