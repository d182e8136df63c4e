package forge

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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
