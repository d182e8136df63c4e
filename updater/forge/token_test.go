package forge

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/moult-go/moult/updater"
)

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
