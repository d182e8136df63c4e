package feed_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/tuf"
	"github.com/moult-go/moult/updater"
	"github.com/moult-go/moult/updater/feed"
)

// installedEnv makes this test binary a program that upgrades what is installed in a directory.
const installedEnv = "FEED_TEST_INSTALLED"

func upgradeOnce(dir string) int {
	root, err1 := os.ReadFile(filepath.Join(dir, "root.json"))
	url, err2 := os.ReadFile(filepath.Join(dir, "url"))
	u, err3 := updater.New(updater.Options{
		Name: "hello", Version: "1.0.0", Source: feed.New(string(url), root), InstallPath: filepath.Join(dir, "hello"), Module: "-",
	})
	if err := errors.Join(err1, err2, err3); err != nil {
		fmt.Println(err)
		return 1
	}
	_, err := u.Upgrade(context.Background(), updater.Request{Events: func(e updater.Event) {
		if e.Phase == updater.PhaseFetch {
			fmt.Println("done", e.Done)
		}
	}})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// counting serves files as web servers do, with strong tags, and counts the bytes of payloads that it sends. While hold is set, it sends no more
// than that of a body, and then nothing.
type counting struct {
	dir    string
	hold   atomic.Int64
	sent   atomic.Int64
	ranges chan string
}

func (c *counting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, "/1.2.3/") {
		c.ranges <- r.Header.Get("Range")
		w.Header().Set("ETag", `"`+filepath.Base(r.URL.Path)+`"`)
		w = &counted{w, r.Context(), c}
	}
	http.ServeFile(w, r, filepath.Join(c.dir, filepath.FromSlash(r.URL.Path)))
}

type counted struct {
	http.ResponseWriter
	ctx context.Context
	c   *counting
}

func (w *counted) Write(p []byte) (int, error) {
	if hold := w.c.hold.Load(); hold > 0 && w.c.sent.Load()+int64(len(p)) > hold {
		http.NewResponseController(w.ResponseWriter).Flush()
		<-w.ctx.Done()
		return 0, w.ctx.Err()
	}
	n, err := w.ResponseWriter.Write(p)
	w.c.sent.Add(int64(n))
	return n, err
}

// TestKilledDownloadIsResumed: SIGKILL in the middle of a download; a new process goes on where that one was, and what is there is not
// fetched again.
func TestKilledDownloadIsResumed(t *testing.T) {
	exe := filepath.Join(t.TempDir(), "candidate")
	if out, err := exec.Command("go", "build", "-o", exe, "-ldflags", "-s -w -X main.version=1.2.3", "../testdata/candidate").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s := newSiteOfFile(t, exe)
	web := &counting{dir: s.dir, ranges: make(chan string, 2)}
	s.serve = web
	dir := t.TempDir()
	for name, b := range map[string][]byte{"hello": []byte("#!/bin/sh\n"), "root.json": s.root, "url": []byte(s.url)} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := os.Stat(exe)
	if err != nil {
		t.Fatal(err)
	}
	const half = 1 << 20
	if whole.Size() < 3*half/2 {
		t.Fatalf("the candidate has only %d bytes", whole.Size())
	}
	web.hold.Store(half)
	killAtBytes(t, dir, half/2)
	if got := <-web.ranges; got != "" {
		t.Errorf("the first process asked for %q", got)
	}
	had := partSize(t, dir)
	web.hold.Store(0)
	web.sent.Store(0)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), installedEnv+"="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := <-web.ranges; got != fmt.Sprintf("bytes=%d-", had) {
		t.Errorf("the second process asked for %q and had %d", got, had)
	}
	if got := web.sent.Load(); got != whole.Size()-had {
		t.Errorf("%d bytes served, %d of %d were there", got, had, whole.Size())
	}
	if first, _, _ := strings.Cut(string(out), "\n"); first != fmt.Sprint("done ", had) {
		t.Errorf("progress begins with %q", first)
	}
	a, err1 := os.ReadFile(exe)
	b, err2 := os.ReadFile(filepath.Join(dir, "hello"))
	if err := errors.Join(err1, err2); err != nil || !bytes.Equal(a, b) {
		t.Errorf("what is installed is not what was published: %v", err)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, ".hello.d", "download")); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
	t.Logf("%d of %d bytes were there, %d fetched", had, whole.Size(), web.sent.Load())
}

// killAtBytes starts an upgrade and kills it when it has so many bytes.
func killAtBytes(t *testing.T, dir string, n int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), installedEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	for lines := bufio.NewScanner(io.TeeReader(out, &said)); lines.Scan(); {
		var done int64
		if fmt.Sscanf(lines.Text(), "done %d", &done); done >= n {
			break
		}
	}
	cmd.Process.Kill()
	if err := cmd.Wait(); err == nil || ctx.Err() != nil {
		t.Fatalf("not killed in its download: %v\n%s", err, said.Bytes())
	}
}

func partSize(t *testing.T, dir string) int64 {
	t.Helper()
	parts, err := filepath.Glob(filepath.Join(dir, ".hello.d", "download", "*.part"))
	if err != nil || len(parts) != 1 {
		t.Fatalf("parts %v, %v", parts, err)
	}
	fi, err := os.Stat(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	return fi.Size()
}

// newSiteOfFile is a feed with an executable.
func newSiteOfFile(t *testing.T, exe string) *site {
	t.Helper()
	s := newSite(t, nil)
	repo, err := tuf.Init(t.Context(), filepath.Join(t.TempDir(), "feed"), tuf.InitOptions{App: "hello", Channels: []string{"stable"}, PlaintextKeys: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err = repo.Publish(t.Context(), tuf.PublishRequest{
		Version: release.MustParseVersion("1.2.3"), Channel: "stable", Uncompressed: true, Files: []tuf.File{{Path: exe, Platform: release.Host()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.root, err = os.ReadFile(repo.RootFile()); err != nil {
		t.Fatal(err)
	}
	s.dir = filepath.Dir(filepath.Dir(repo.RootFile()))
	return s
}
