package forge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/updater"
)

// site is a forge, with storage on another port as the real ones have it, that may be made to misbehave. It speaks all three dialects: paths,
// fields and headers as GitHub, Gitea 1.22 and GitLab 17 have them.
type site struct {
	t        *testing.T
	api      *httptest.Server
	storage  *httptest.Server
	token    string // that private projects want
	pageSize int
	answer   func(w http.ResponseWriter, r *http.Request) bool // before everything else; true: it has answered

	mu       sync.Mutex
	releases []rel
	requests []*http.Request
	stored   []*http.Request
}

type rel struct {
	tag        string
	draft, pre bool
	digests    bool // GitHub says digests
	files      map[string][]byte
	body       string
}

func (r rel) names() []string {
	var list []string
	for n := range r.files {
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

func newSite(t *testing.T, releases ...rel) *site {
	s := &site{t: t, pageSize: 30, releases: releases}
	s.api = httptest.NewServer(http.HandlerFunc(s.serveAPI))
	s.storage = httptest.NewServer(http.HandlerFunc(s.serveStorage))
	t.Cleanup(s.api.Close)
	t.Cleanup(s.storage.Close)
	return s
}

func (s *site) serveAPI(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	s.mu.Unlock()
	switch p := r.URL.EscapedPath(); {
	case s.answer != nil && s.answer(w, r):
	case p == "/api/v3/repos/o/hello/releases", p == "/api/v1/repos/o/hello/releases":
		s.list(w, r, s.github)
	case p == "/api/v4/projects/g%2Fsub%2Fhello/releases":
		s.list(w, r, s.gitlab)
	case p == "/o/hello/releases/latest":
		for _, r := range s.releases {
			if !r.draft && !r.pre {
				w.Header().Set("Location", s.api.URL+"/o/hello/releases/tag/"+r.tag)
				break
			}
		}
		w.WriteHeader(http.StatusFound)
	case strings.Contains(p, "/releases/assets/"):
		if r.Header.Get("Accept") != "application/octet-stream" {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"id":1}`)
			return
		}
		s.redirect(w, r, path.Base(path.Dir(p))+"/"+path.Base(p))
	case strings.Contains(p, "/releases/download/"), strings.Contains(p, "/packages/generic/"):
		s.redirect(w, r, path.Base(path.Dir(p))+"/"+path.Base(p))
	default:
		http.NotFound(w, r)
	}
}

// redirect is how forges hand out files: an address of the storage that is good for a while.
func (s *site) redirect(w http.ResponseWriter, r *http.Request, key string) {
	if s.token != "" && !strings.Contains(r.Header.Get("Authorization")+r.Header.Get("PRIVATE-TOKEN"), s.token) {
		http.NotFound(w, r)
		return
	}
	if s.find(key) == nil {
		http.NotFound(w, r)
		return
	}
	http.Redirect(w, r, s.storage.URL+"/"+key+"?signature=abc", http.StatusFound)
}

func (s *site) find(key string) []byte {
	tag, name, _ := strings.Cut(key, "/")
	for _, r := range s.releases {
		if r.tag == tag {
			return r.files[name]
		}
	}
	return nil
}

func (s *site) serveStorage(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.stored = append(s.stored, r)
	s.mu.Unlock()
	b := s.find(strings.TrimPrefix(r.URL.Path, "/"))
	d, _, _ := release.DigestReader(bytes.NewReader(b))
	w.Header().Set("ETag", `"`+d.Short()+`"`)
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

// list pages and answers a condition, as GitHub and GitLab do.
func (s *site) list(w http.ResponseWriter, r *http.Request, one func(rel) any) {
	if s.token != "" && !strings.Contains(r.Header.Get("Authorization")+r.Header.Get("PRIVATE-TOKEN"), s.token) {
		http.NotFound(w, r)
		return
	}
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	page = max(page, 1)
	all := s.releases
	from, to := min((page-1)*s.pageSize, len(all)), min(page*s.pageSize, len(all))
	list := []any{}
	for _, x := range all[from:to] {
		list = append(list, one(x))
	}
	if to < len(all) {
		q := r.URL.Query()
		q.Set("page", strconv.Itoa(page+1))
		next := url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: q.Encode()}
		w.Header().Set("Link", `<`+s.api.URL+`/elsewhere?page=1>; rel="first", <`+s.api.URL+next.String()+`>; rel="next"`)
		w.Header().Set("X-Next-Page", strconv.Itoa(page+1))
	}
	b, err := json.Marshal(list)
	if err != nil {
		s.t.Error(err)
	}
	d, _, _ := release.DigestReader(bytes.NewReader(b))
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("ETag", `W/"`+d.Short()+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

func (s *site) github(r rel) any {
	files := []any{}
	for i, n := range r.names() {
		d, _, _ := release.DigestReader(bytes.NewReader(r.files[n]))
		f := map[string]any{
			"id": i, "name": n, "label": "", "content_type": "application/octet-stream", "size": len(r.files[n]), "state": "uploaded", "digest": nil,
			"url": s.api.URL + "/api/v3/repos/o/hello/releases/assets/" + r.tag + "/" + n, "browser_download_url": s.api.URL + "/o/hello/releases/download/" + r.tag + "/" + n,
			"download_count": 7, "created_at": "2026-01-02T15:04:05Z", "updated_at": "2026-01-02T15:04:05Z", "uploader": map[string]any{"login": "o"},
		}
		if r.digests {
			f["digest"] = "sha256:" + d.String()
		}
		files = append(files, f)
	}
	return map[string]any{
		"id": 1, "tag_name": r.tag, "target_commitish": "main", "name": r.tag, "draft": r.draft, "prerelease": r.pre, "body": r.body,
		"created_at": "2026-01-02T15:04:05Z", "published_at": "2026-01-02T15:04:05Z", "assets": files, "author": map[string]any{"login": "o"},
	}
}

func (s *site) gitlab(r rel) any {
	links := []any{}
	for i, n := range r.names() {
		links = append(links, map[string]any{
			"id": i, "name": n, "link_type": "other", "url": s.api.URL + "/api/v4/projects/1/packages/generic/hello/" + r.tag + "/" + n,
			"direct_asset_url": s.api.URL + "/g/sub/hello/-/releases/" + r.tag + "/downloads/" + n,
		})
	}
	return map[string]any{
		"tag_name": r.tag, "name": r.tag, "description": r.body, "created_at": "2026-01-02T15:04:05.000Z", "released_at": "2026-01-02T15:04:05.000Z",
		"upcoming_release": r.draft, "assets": map[string]any{"count": len(links) + 4, "links": links, "sources": []any{map[string]any{"format": "zip", "url": "x"}}},
	}
}

// seen returns what the API and the storage were asked for since the last time.
func (s *site) seen() (api, storage []*http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	api, storage = s.requests, s.stored
	s.requests, s.stored = nil, nil
	return api, storage
}

var linux = release.Platform{OS: "linux", Arch: "amd64"}

func (s *site) query(t *testing.T, installed string) updater.Query {
	q := updater.Query{App: "hello", Platform: linux, Channel: "stable", CacheDir: t.TempDir()}
	if installed != "" {
		q.Installed = release.MustParseVersion(installed)
	}
	return q
}

// dist is what goreleaser made, byte for byte, with its file of checksums.
func dist(t testing.TB) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, pattern := range []string{"*.tar.gz", "*.zip", "checksums.txt"} {
		found, err := filepath.Glob(filepath.Join("../../testdata/dist/hello", pattern))
		if err != nil || len(found) == 0 {
			t.Fatal(pattern, err)
		}
		for _, f := range found {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			files[filepath.Base(f)] = b
		}
	}
	return files
}

const archiveName = "hello_1.4.0_linux_amd64.tar.gz"

// keys is a publisher's key pair.
type keys struct{ public, private string }

func newKeys(t testing.TB) keys {
	t.Helper()
	public, private, err := release.GenerateMinisign("")
	if err != nil {
		t.Fatal(err)
	}
	return keys{public, private}
}

func (k keys) checksums(t testing.TB, b []byte, app, version string) []byte {
	t.Helper()
	sig, err := release.SignChecksums(k.private, "", bytes.NewReader(b), release.ChecksumsComment{App: app, Version: release.MustParseVersion(version)})
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func (k keys) file(t testing.TB, b []byte, app, version string, p release.Platform) []byte {
	t.Helper()
	sig, err := release.SignMinisign(k.private, "", bytes.NewReader(b), release.TrustedComment{App: app, Version: release.MustParseVersion(version), Platform: p})
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// signed is dist with a signature of its checksums.
func (k keys) signed(t testing.TB) map[string][]byte {
	files := dist(t)
	files["checksums.txt.minisig"] = k.checksums(t, files["checksums.txt"], "hello", "1.4.0")
	return files
}

func wantError(t *testing.T, err error, c updater.Class, reason string) {
	t.Helper()
	var e *updater.Error
	if !errors.As(err, &e) || e.Class != c || e.Reason != reason {
		t.Fatalf("error %v, want class %s, reason %s", err, c, reason)
	}
}
