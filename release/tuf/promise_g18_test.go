package tuf

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/moult-go/moult/release"
)

// lie answers a request instead of the feed, and reports whether it did.
type lie = func(http.ResponseWriter, *http.Request) bool

// attack is one way to lie to a client.
type attack struct {
	name string
	lie  lie
	// want is what a client must say, one of these; nothing: it may go on, with what the targets key signed.
	want    []error
	root    []byte        // embedded instead of the feed's first one
	after   lie           // what the honest feed looks like then; nil: as before
	timeout time.Duration // default 20 s
}

// scene is a feed with the releases 1.0.0 and 1.1.0, and all of its keys.
type scene struct {
	*feed
	rootKey, stranger Signer
	old               []byte            // timestamp of the time before 1.1.0
	root2             []byte            // a true next root, which is not published
	files             map[string][]byte // true content by kind of file
	payloads          map[string][]byte // by version
}

// kinds of files, by their URL path.
var fileKinds = map[string]*regexp.Regexp{
	"next root":      regexp.MustCompile(`/metadata/2\.root\.json$`),
	"timestamp":      regexp.MustCompile(`/metadata/timestamp\.json$`),
	"snapshot":       regexp.MustCompile(`/metadata/\d+\.snapshot\.json$`),
	"targets":        regexp.MustCompile(`/metadata/\d+\.targets\.json$`),
	"brake metadata": regexp.MustCompile(`/metadata/\d+\.brake\.json$`),
	"brake":          regexp.MustCompile(`/targets/[0-9a-f]{64}\.brake\.json$`),
	"index":          regexp.MustCompile(`/targets/beta/[0-9a-f]{64}\.linux-amd64\.json$`),
	"payload":        regexp.MustCompile(`/targets/1\.1\.0/[0-9a-f]{64}\.`),
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{feed: newFeed(t), files: map[string][]byte{}, payloads: map[string][]byte{}}
	s.publish("1.0.0", "beta", "one")
	s.old = s.reading("metadata/timestamp.json")
	s.setLie(nil)
	_, s.payloads["1.0.0"], _ = install(s.client(t.TempDir()))
	s.publish("1.1.0", "beta", "two")
	s.rootKey, s.stranger = s.repo.keys.Root[0], stranger(t)[0]
	s.root2 = s.nextRoot(nil, s.rootKey)
	files := http.FileServer(http.Dir(s.repo.dir))
	s.setLie(func(w http.ResponseWriter, r *http.Request) bool {
		rec := httptest.NewRecorder()
		files.ServeHTTP(rec, r)
		for kind, re := range fileKinds {
			if re.MatchString(r.URL.Path) {
				s.files[kind] = bytes.Clone(rec.Body.Bytes())
			}
		}
		return false
	})
	var err error
	if _, s.payloads["1.1.0"], err = install(s.client(t.TempDir())); err != nil {
		t.Fatal(err)
	}
	s.files["next root"] = s.root2
	for kind := range fileKinds {
		if len(s.files[kind]) == 0 {
			t.Fatalf("no client asked for the %s", kind)
		}
	}
	return s
}

// at makes one kind of file answer so.
func at(kind string, h http.HandlerFunc) lie {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !fileKinds[kind].MatchString(r.URL.Path) {
			return false
		}
		h(w, r)
		return true
	}
}

// mirror is a web server that an attacker holds.
type mirror struct {
	url  string
	lie  atomic.Pointer[lie]
	lied atomic.Int64
}

func (s *scene) mirror(t *testing.T) *mirror {
	m := &mirror{}
	files := http.FileServer(http.Dir(s.repo.dir))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l := m.lie.Load(); l != nil && *l != nil && (*l)(m.counted(w), r) {
			return
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	m.url = srv.URL
	return m
}

// counted counts the first byte, or the header, of a lie.
func (m *mirror) counted(w http.ResponseWriter) http.ResponseWriter { return &countingWriter{w, m} }

type countingWriter struct {
	http.ResponseWriter
	m *mirror
}

func (c *countingWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *countingWriter) Write(b []byte) (int, error) {
	c.m.lied.Add(1)
	return c.ResponseWriter.Write(b)
}

func (c *countingWriter) WriteHeader(code int) {
	c.m.lied.Add(1)
	c.ResponseWriter.WriteHeader(code)
}

// install is all that an update asks of a feed.
func install(c *Client) (version string, payload []byte, err error) {
	ctx := context.Background()
	if err := c.Refresh(ctx); err != nil {
		return "", nil, err
	}
	ix, err := c.Index(ctx, "beta", linux)
	if err != nil {
		return "", nil, err
	}
	r, err := ix.Latest()
	if err != nil {
		return "", nil, err
	}
	var b bytes.Buffer
	err = c.Fetch(ctx, r.Artifact.Full, &b)
	return r.Version.String(), b.Bytes(), err
}

func (a attack) client(t *testing.T, s *scene, m *mirror, dir string) *Client {
	root, timeout := s.root, 20*time.Second
	if a.root != nil {
		root = a.root
	}
	if a.timeout != 0 {
		timeout = a.timeout
	}
	c, err := NewClient(m.url, root, dir, ClientOptions{App: "hello", Timeout: timeout, StallWindow: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// try runs one attack against a client, which knows 1.0.0 or nothing, and then lets it see the honest feed.
func (a attack) try(t *testing.T, s *scene, knowing bool) {
	m, dir := s.mirror(t), t.TempDir()
	c := a.client(t, s, m, dir)
	if knowing {
		before := at("timestamp", bytesOf(s.old))
		m.lie.Store(&before)
		if v, _, err := install(c); err != nil || v != "1.0.0" {
			t.Fatalf("before the attack: %q, %v", v, err)
		}
		m.lied.Store(0)
	}
	m.lie.Store(&a.lie)
	v, payload, err := install(c)
	// A lie about a file that this client has already is never asked for.
	ok := (len(a.want) == 0 || m.lied.Load() == 0) && err == nil && v != "" && bytes.Equal(payload, s.payloads[v])
	if !ok && !slices.ContainsFunc(a.want, func(want error) bool { return errors.Is(err, want) }) {
		t.Errorf("client %q, %v; want %v", v, err, a.want)
	}
	m.lie.Store(&a.after)
	c.opts.Timeout, c.opts.StallWindow = 20*time.Second, 20*time.Second
	a.timeout = 0
	for when, c := range map[string]*Client{"same": c, "restarted": a.client(t, s, m, dir)} {
		if v, _, err := install(c); err != nil || v != "1.1.0" {
			t.Errorf("after the attack, %s client: %q, %v", when, v, err)
		}
	}
}

// TestPromiseG18: no attack that TUF names, at any file where it makes sense, gets anything accepted that the targets key did
// not sign; each has its own error, and leaves the client such that the honest feed works.
func TestPromiseG18(t *testing.T) {
	if testing.Short() {
		t.Skip("minutes under the race detector, over code that other tests go through as well")
	}
	s := newScene(t)
	all := attacks(s)
	t.Logf("%d attacks, two clients each", len(all))
	full := os.Getenv("MOULT_PROMISES") == "full"
	for i, a := range all {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			for who, knowing := range map[string]bool{"fresh": false, "knowing": true} {
				if full || knowing == (i%2 == 0) || a.after != nil {
					t.Run(who, func(t *testing.T) { a.try(t, s, knowing) })
				}
			}
		})
	}
}

// TestPromiseG18Control: a client that reads the same files and trusts them falls for these attacks.
func TestPromiseG18Control(t *testing.T) {
	if testing.Short() {
		t.Skip("minutes under the race detector, over code that other tests go through as well")
	}
	s := newScene(t)
	fell, lied := 0, 0
	for _, a := range attacks(s) {
		if a.timeout != 0 {
			continue // slow ones only take time
		}
		m := s.mirror(t)
		lie := a.lie
		m.lie.Store(&lie)
		v, payload, err := trusting(m.url)
		if err == nil {
			fell++
		}
		if err == nil && !bytes.Equal(payload, s.payloads[v]) {
			lied++
		}
	}
	t.Logf("the trusting client took %d attacks for a feed, and installed something else in %d", fell, lied)
	if fell < 60 || lied < 8 {
		t.Errorf("the trusting client falls for %d attacks and is harmed by %d: do they attack?", fell, lied)
	}
}

func attacks(s *scene) []attack {
	var all []attack
	for _, some := range [][]attack{byteAttacks(s), signedAttacks(s), rootAttacks(s), mirrorAttacks(s)} {
		all = append(all, some...)
	}
	return all
}

// trusting is an updater as one would write it without knowing better.
func trusting(url string) (version string, payload []byte, err error) {
	get := func(path string) []byte {
		res, e := http.Get(url + path)
		if e != nil {
			err = e
			return nil
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			err = errors.New(res.Status)
		}
		b, e := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		err = errors.Join(err, e)
		return b
	}
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("it crashed")
		}
	}()
	ts, e1 := metadata.Timestamp().FromBytes(get("/metadata/timestamp.json"))
	sn, e2 := metadata.Snapshot().FromBytes(get("/metadata/" + versioned(ts.Signed.Meta["snapshot.json"].Version, "snapshot")))
	ta, e3 := metadata.Targets().FromBytes(get("/metadata/" + versioned(sn.Signed.Meta["targets.json"].Version, "targets")))
	if err = errors.Join(err, e1, e2, e3); err != nil {
		return "", nil, err
	}
	path := release.IndexPath("beta", linux)
	d, err := targetDigest(ta.Signed.Targets[path])
	if err != nil {
		return "", nil, err
	}
	ix, err := release.ParseIndex(get("/targets/" + release.HashedPath(path, d)))
	if err != nil {
		return "", nil, err
	}
	r, err := ix.Latest()
	if err != nil {
		return "", nil, err
	}
	payload = get("/targets/" + release.HashedPath(r.Artifact.Full.Path, r.Artifact.Full.SHA256))
	return r.Version.String(), payload, err
}
