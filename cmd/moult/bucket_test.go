package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/moult-go/moult/release/tuf"
)

const (
	s3Key    = "AKIDEXAMPLE"
	s3Secret = "wJalrXUtnFEMI-K7MDENG-EXAMPLE"
	s3Bucket = "downloads"
)

// s3Server is a real S3 server, with a bucket whose objects everybody may get, behind a proxy that a test can make misbehave.
type s3Server struct {
	direct string // URL
	url    string // of the proxy
	public string // of the feed, as its readers have it

	mu    sync.Mutex
	fault func(w http.ResponseWriter, r *http.Request, forward func()) bool // true: answered
	puts  atomic.Int64
}

// newS3 starts the server that MOULT_TEST_S3SERVER names or the search path has: versitygw, built from testdata/s3server.
func newS3(t *testing.T) *s3Server {
	t.Helper()
	program := os.Getenv("MOULT_TEST_S3SERVER")
	if program == "" {
		var err error
		if program, err = exec.LookPath("versitygw"); err != nil {
			t.Skip("no S3 server: testdata/s3server/go.mod says how to build one")
		}
	}
	dir := t.TempDir() // its file system must have extended attributes: in a sidecar, tags and contents change one after the other
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	var log bytes.Buffer
	cmd := exec.Command(program, "--port", addr, "--quiet", "--keep-alive", "posix", dir)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY_ID="+s3Key, "ROOT_SECRET_ACCESS_KEY="+s3Secret)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	s := &s3Server{direct: "http://" + addr}
	client, err := minio.New(addr, &minio.Options{Creds: credentials.NewStaticV4(s3Key, s3Secret, "")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := client.MakeBucket(ctx, s3Bucket, minio.MakeBucketOptions{}); err != nil { // tries until it listens
		t.Fatalf("%v\n%s", err, &log)
	}
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::` + s3Bucket + `/*"]}]}`
	if err := client.SetBucketPolicy(ctx, s3Bucket, policy); err != nil {
		t.Fatal(err)
	}
	s.proxy(t)
	s.public = s.url + "/" + s3Bucket + "/hello"
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": s3Key, "AWS_SECRET_ACCESS_KEY": s3Secret, "AWS_ENDPOINT_URL_S3": s.url, "AWS_REGION": "us-east-1",
		"AWS_EC2_METADATA_DISABLED": "true", "HOME": t.TempDir(), "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_SHARED_CREDENTIALS_FILE": "",
	} {
		t.Setenv(name, value)
	}
	return s
}

// proxy passes requests on as they were signed. To those who may not list, a missing object is forbidden, as Amazon has it.
func (s *s3Server) proxy(t *testing.T) {
	target, err := url.Parse(s.direct)
	if err != nil {
		t.Fatal(err)
	}
	pass := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		ModifyResponse: func(res *http.Response) error {
			if res.StatusCode == 404 && res.Request.Header.Get("Authorization") == "" {
				res.StatusCode, res.Status = 403, "403 Forbidden"
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { panic(http.ErrAbortHandler) }, // a client that was killed
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			s.puts.Add(1)
		}
		s.mu.Lock()
		fault := s.fault
		s.mu.Unlock()
		if fault == nil || !fault(w, r, func() { pass.ServeHTTP(w, r) }) {
			pass.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	s.url = srv.URL
}

func (s *s3Server) setFault(f func(http.ResponseWriter, *http.Request, func()) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

const bucketURL = "s3://" + s3Bucket + "/hello"

func TestBucket(t *testing.T) {
	s := newS3(t)
	r := smallFeed(t)
	sent, _ := syncDoc(t, "feed", bucketURL)
	want(t, 0, "verify", s.public, "--root=feed/metadata/1.root.json")
	s.puts.Store(0)
	if again, _ := syncDoc(t, "feed", bucketURL); len(again) != 0 || s.puts.Load() != 0 {
		t.Errorf("the second time: %v, %d requests to write", again, s.puts.Load())
	}
	t.Run("headers", func(t *testing.T) {
		for _, path := range sent {
			res, err := http.Get(s.public + "/" + path)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			kind, _ := classify(path)
			h := res.Header
			if res.StatusCode != 200 || h.Get("Content-Type") != kind.contentType || h.Get("Cache-Control") != kind.cacheControl ||
				h.Get("Content-Encoding") != "" || h.Get("ETag") == "" {
				t.Errorf("%s: %d %v", path, res.StatusCode, h)
			}
		}
		res, err := http.Get(s.public + "/metadata/2.root.json")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 403 {
			t.Errorf("what is not there: status %d, meant to be 403", res.StatusCode)
		}
	})
	t.Run("pull, publish, push", func(t *testing.T) {
		syncDoc(t, bucketURL, "mine", "--root=feed/metadata/1.root.json")
		mine, err := tuf.Open("mine", tuf.OpenOptions{KeyDir: "feed-keys"})
		if err != nil {
			t.Fatal(err)
		}
		publishSmall(t, mine, "1.2.0")
		syncDoc(t, "mine", bucketURL)
		c := newClient(t, s.public, nil)
		wantBeta(t, c, "1.2.0")
		if code, _, stderr := moult(t, "sync", "feed", bucketURL); code != exitFailed || !strings.Contains(stderr, "newer") {
			t.Errorf("an old copy: %d %s", code, stderr)
		}
		publishSmall(t, r, "1.3.0")
		if code, _, stderr := moult(t, "sync", "feed", bucketURL); code != exitFailed || !strings.Contains(stderr, "same number") {
			t.Errorf("another publisher: %d %s", code, stderr)
		}
		wantBeta(t, c, "1.2.0")
		syncDoc(t, bucketURL, "s3://"+s3Bucket+"/second/copy") // from one prefix to another
		wantBeta(t, newClient(t, s.url+"/"+s3Bucket+"/second/copy", nil), "1.2.0")
	})
	t.Run("delete", func(t *testing.T) {
		to, err := (&placeFlags{}).place(bucketURL)
		if err != nil {
			t.Fatal(err)
		}
		m := newMirror(&directory{dir: "mine"}, to.(store))
		m.remove, m.grace = true, 24*time.Hour
		if p, err := m.run(t.Context()); err != nil || len(p.remove) > 0 {
			t.Errorf("within the grace: %v, %v", p.remove, err)
		}
		m.now = func() time.Time { return time.Now().Add(25 * time.Hour) }
		p, err := m.run(t.Context())
		if err != nil || len(p.remove) < 4 {
			t.Fatalf("removed %v, %v", p, err)
		}
		left, err := m.to.list(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range p.remove {
			if _, ok := left[path]; ok {
				t.Errorf("%s is still there", path)
			}
		}
		want(t, 0, "verify", s.public, "--root=feed/metadata/1.root.json")
	})
	t.Run("who may not", func(t *testing.T) {
		for name, env := range map[string]map[string]string{
			"wrong secret": {"AWS_SECRET_ACCESS_KEY": "not-" + s3Secret}, "wrong key": {"AWS_ACCESS_KEY_ID": "AKIDOTHER"},
			"anonymous": {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
		} {
			t.Run(name, func(t *testing.T) {
				for k, v := range env {
					t.Setenv(k, v)
				}
				code, stdout, stderr := moult(t, "sync", "mine", bucketURL, "--json")
				if code != exitDenied || strings.Contains(stdout+stderr, s3Secret) {
					t.Errorf("exit code %d: %s", code, stderr)
				}
			})
		}
		want(t, exitFailed, "sync", "mine", "s3://no-such-bucket/hello")
	})
	t.Run("anonymous pull", func(t *testing.T) {
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "")
		syncDoc(t, bucketURL, "pulled")
		want(t, 0, "verify", "pulled", "--root=feed/metadata/1.root.json")
	})
	t.Run("shared credentials file", func(t *testing.T) {
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "")
		text := fmt.Sprintf("[ci]\naws_access_key_id = %s\naws_secret_access_key = %s\n", s3Key, s3Secret)
		if err := os.WriteFile("credentials", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "credentials")
		t.Setenv("AWS_PROFILE", "ci")
		syncDoc(t, "mine", "s3://"+s3Bucket+"/third", "--s3-path-style")
	})
}

// A store that is busy, broken or cuts connections is tried again; one that is gone is code 75.
func TestBucketFaults(t *testing.T) {
	s := newS3(t)
	smallFeed(t)
	var faults atomic.Int64
	seen := make(map[string]bool)
	s.setFault(func(w http.ResponseWriter, r *http.Request, _ func()) bool {
		s.mu.Lock()
		first := !seen[r.Method+r.URL.Path]
		seen[r.Method+r.URL.Path] = true
		s.mu.Unlock()
		if !first {
			return false
		}
		switch faults.Add(1) % 3 {
		case 0:
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(503)
			io.WriteString(w, `<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`)
		case 1:
			w.WriteHeader(500)
		default:
			io.CopyN(io.Discard, r.Body, 10)
			panic(http.ErrAbortHandler)
		}
		return true
	})
	syncDoc(t, "feed", bucketURL)
	if faults.Load() < 10 {
		t.Errorf("%d faults", faults.Load())
	}
	s.setFault(nil)
	want(t, 0, "verify", s.public, "--root=feed/metadata/1.root.json")
	if sent, _ := syncDoc(t, "feed", bucketURL); len(sent) > 0 {
		t.Errorf("sent again: %v", sent)
	}
	// A write that was done, and whose answer was lost, is met again by its own condition.
	s.setFault(func(_ http.ResponseWriter, r *http.Request, forward func()) bool {
		if r.Method != http.MethodPut {
			return false
		}
		s.setFault(nil)
		rec := httptest.NewRecorder()
		r2 := r.Clone(r.Context())
		r2.RequestURI = ""
		u, _ := url.Parse(s.direct)
		r2.URL.Scheme, r2.URL.Host = u.Scheme, u.Host
		if res, err := http.DefaultClient.Do(r2); err == nil {
			rec.Code = res.StatusCode
			res.Body.Close()
		}
		if rec.Code != 200 {
			t.Errorf("the write that is to be lost: %d", rec.Code)
		}
		panic(http.ErrAbortHandler)
	})
	syncDoc(t, "feed", "s3://"+s3Bucket+"/lost")
}

// Two syncs at once: one timestamp wins, and what it names is there.
func TestBucketTwoPublishers(t *testing.T) {
	s := newS3(t)
	r := smallFeed(t)
	syncDoc(t, "feed", bucketURL)
	syncDoc(t, "feed", "mine")
	mine, err := tuf.Open("mine", tuf.OpenOptions{KeyDir: "feed-keys"})
	if err != nil {
		t.Fatal(err)
	}
	publishSmall(t, r, "1.2.0")
	publishSmall(t, mine, "1.3.0")
	// The second one begins and ends while the first is about to write its first metadata file: both have seen none there.
	s.beforePut("/metadata/", func() { syncDoc(t, "mine", bucketURL) })
	code, _, stderr := moult(t, "sync", "feed", bucketURL, "--jobs=1")
	if code != exitRetry || !strings.Contains(stderr, "another sync") {
		t.Errorf("the one that came second: %d %s", code, stderr)
	}
	wantBeta(t, newClient(t, s.public, nil), "1.3.0")
	// Only the timestamps differ: both refresh.
	syncDoc(t, bucketURL, "a")
	syncDoc(t, bucketURL, "b")
	for i, dir := range []string{"a", "b"} {
		p, err := tuf.Open(dir, tuf.OpenOptions{KeyDir: "feed-keys", Now: func() time.Time { return time.Now().Add(time.Duration(i) * time.Minute) }})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.beforePut(timestampPath, func() { syncDoc(t, "b", bucketURL) })
	if code, _, stderr := moult(t, "sync", "a", bucketURL); code != exitRetry {
		t.Errorf("the timestamp that came second: %d %s", code, stderr)
	}
	syncDoc(t, bucketURL, "b")
}

// beforePut calls f before the first write of a path is passed on.
func (s *s3Server) beforePut(path string, f func()) {
	s.setFault(func(_ http.ResponseWriter, r *http.Request, _ func()) bool {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, path) {
			s.setFault(nil)
			f()
		}
		return false
	})
}

// TestBeMoult is moult in a process of its own, for tests that kill it.
func TestBeMoult(t *testing.T) {
	var args []string
	if err := json.Unmarshal([]byte(os.Getenv("MOULT_TEST_ARGS")), &args); err != nil {
		t.Skip("it is started by other tests")
	}
	os.Exit(run(context.Background(), args, os.Stdout, os.Stderr))
}

// A sync that is killed at any write leaves readers with the old feed, and the next one completes it. Readers who poll all the while never
// see an error.
func TestBucketKilled(t *testing.T) {
	s := newS3(t)
	r := smallFeed(t)
	want(t, 0, "sync", "feed", "base")
	publishSmall(t, r, "1.2.0")
	publishSmall(t, r, "1.3.0")
	files, _ := syncDoc(t, "feed", "base", "--dry-run")
	step := 4
	if os.Getenv("MOULT_PROMISES") == "full" {
		step = 1
	}
	for at := 1; at <= len(files); at += step { // 9 files: the first, the fifth, and the last, the timestamp
		for _, done := range []bool{false, true} { // killed before the store has it, and after
			name := fmt.Sprintf("killed-%d-%v", at, done)
			t.Run(name, func(t *testing.T) { s.killAt(t, name, int64(at), done, at == len(files) && done) })
		}
	}
	if len(files)%4 != 1 {
		t.Errorf("%d files: the last is left out", len(files))
	}
}

func (s *s3Server) killAt(t *testing.T, prefix string, at int64, done, last bool) {
	to := "s3://" + s3Bucket + "/" + prefix
	syncDoc(t, "base", to)
	public := s.url + "/" + s3Bucket + "/" + prefix
	poll := s.poll(t, public)
	args, err := json.Marshal([]string{"sync", "feed", to, "--jobs=2"})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestBeMoult$")
	cmd.Env = append(os.Environ(), "MOULT_TEST_ARGS="+string(args))
	var puts atomic.Int64
	started, killed := make(chan struct{}), make(chan struct{})
	s.setFault(func(w http.ResponseWriter, r *http.Request, forward func()) bool {
		if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, prefix) {
			return false
		}
		n := puts.Add(1)
		if n == at {
			if done {
				forward()
			}
			<-started
			cmd.Process.Kill()
			close(killed)
		} else if n > at {
			<-killed
		} else {
			return false
		}
		panic(http.ErrAbortHandler)
	})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	close(started)
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Errorf("it was not killed: %v", err)
	}
	s.setFault(nil)
	version := "1.1.0"
	if last {
		version = "1.3.0"
	}
	wantBeta(t, newClient(t, public, nil), version)
	syncDoc(t, "feed", to)
	wantBeta(t, newClient(t, public, nil), "1.3.0")
	if sent, _ := syncDoc(t, "feed", to); len(sent) > 0 {
		t.Errorf("not complete: %v", sent)
	}
	if seen := poll(); !slices.Equal(seen, []string{"1.1.0", "1.3.0"}) {
		t.Errorf("a reader saw %v", seen)
	}
}

// poll reads a feed over and over, by a client that keeps its cache and by new ones, until it is told to stop; it returns the
// versions that came, in order.
func (s *s3Server) poll(t *testing.T, public string) (stop func() []string) {
	old := newClient(t, public, nil)
	wantBeta(t, old, "1.1.0")
	ctx, cancel := context.WithCancel(t.Context())
	seen := []string{"1.1.0"}
	over := make(chan struct{})
	see := func(c *tuf.Client) {
		version, err := betaOf(t.Context(), c)
		if err != nil {
			t.Errorf("a reader: %v", err)
		} else if version != seen[len(seen)-1] {
			seen = append(seen, version)
		}
	}
	go func() {
		defer close(over)
		for ctx.Err() == nil {
			see(old)
			see(newClient(t, public, nil))
		}
		see(old)
	}()
	return func() []string {
		cancel()
		<-over
		return seen
	}
}
