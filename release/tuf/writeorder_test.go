package tuf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/moult-go/moult/release"
)

// operation is a publication that is stopped at each of its writes.
type operation struct {
	after   time.Duration // it runs this long after what is there
	writes  int
	prepare func(f *feed)
	run     func(r *Repository) error
}

var background = context.Background()

var operations = map[string]operation{
	"publish": {writes: 5, run: func(r *Repository) error { return publishHello(r, slow) }},
	"publish in a feed without a brake": {writes: 7, prepare: func(f *feed) {
		f.repo.trusted.Targets[metadata.TARGETS].Signed.Delegations = nil
		delete(f.repo.trusted.Snapshot.Signed.Meta, "brake.json")
		f.putTargets()
	}, run: func(r *Repository) error { return publishHello(r, nil) }},
	"promote": {writes: 4, run: func(r *Repository) error {
		_, err := r.Promote(background, PromoteRequest{Version: v("1.1.0")})
		return err
	}},
	"promote to a new channel": {writes: 5, run: func(r *Repository) error {
		_, err := r.Promote(background, PromoteRequest{Version: v("1.1.0"), To: "edge", Create: true, Rollout: slow})
		return err
	}},
	"rollout": {writes: 4, run: func(r *Repository) error {
		_, err := r.Rollout(background, RolloutRequest{Version: v("1.1.0"), Curve: slow})
		return err
	}},
	"halt": {writes: 4, run: func(r *Repository) error {
		_, err := r.Halt(background, StopRequest{Version: v("1.0.0"), Reason: "it crashes"})
		return err
	}},
	"yank": {writes: 7, run: func(r *Repository) error { // an index in each of two channels
		_, err := r.Yank(background, StopRequest{Version: v("1.0.0")})
		return err
	}},
	"resume": {writes: 4, prepare: func(f *feed) {
		if _, err := f.repo.Halt(background, StopRequest{Version: v("1.1.0")}); err != nil {
			f.t.Fatal(err)
		}
	}, run: func(r *Repository) error {
		_, err := r.Resume(background, ResumeRequest{Version: v("1.1.0")})
		return err
	}},
	"refresh":              {writes: 1, run: func(r *Repository) error { return r.Refresh(background) }},
	"refresh the snapshot": {writes: 2, after: snapshotLife/2 + time.Hour, run: func(r *Repository) error { return r.Refresh(background) }},
	"refresh all":          {writes: 5, after: targetsLife/2 + time.Hour, run: func(r *Repository) error { return r.Refresh(background) }},
	"refresh the brake": {writes: 4, after: brakeLife/2 + time.Hour, run: func(r *Repository) error {
		r.keys.Targets = nil
		return r.Refresh(background)
	}},
}

// publishHello publishes the file beside the feed as 1.2.0.
func publishHello(r *Repository, curve []release.Point) error {
	file := File{Path: filepath.Join(filepath.Dir(r.dir), "hello"), Platform: linux}
	_, err := r.Publish(background, PublishRequest{Version: v("1.2.0"), Files: []File{file}, Rollout: curve})
	return err
}

// stage is a feed before an operation, and the cache of a client that has seen it.
type stage struct{ dir string }

func newStage(t *testing.T, op operation) stage {
	t.Helper()
	f := newFeed(t)
	f.publish("1.0.0", "beta", "one")
	f.promote("1.0.0")
	f.publish("1.1.0", "beta", "two")
	if op.prepare != nil {
		op.prepare(f)
	}
	dir := filepath.Dir(f.repo.dir)
	if err := os.WriteFile(filepath.Join(dir, "hello"), []byte("three"), 0o755); err != nil {
		t.Fatal(err)
	}
	f.look(f.client(filepath.Join(dir, "cache")))
	return stage{dir}
}

// copy is the same stage in another place, at an instant.
func (s stage) copy(t *testing.T, now time.Time) *feed {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	keys, err := filepath.Glob(filepath.Join(dir, "feed-keys", "*.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if err := os.Chmod(key, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := &feed{t: t, now: now}
	repo, err := Open(filepath.Join(dir, "feed"), OpenOptions{Now: func() time.Time { return f.now }})
	if err != nil {
		t.Fatal(err)
	}
	f.serve(repo)
	return f
}

// knowing is a client that has seen the stage before the operation.
func (f *feed) knowing() *Client { return f.client(filepath.Join(filepath.Dir(f.repo.dir), "cache")) }

var salt = regexp.MustCompile(`"salt":"[0-9a-f]+"`)

// look is all that a client sees: versions and dates of the metadata, and every index.
func (f *feed) look(c *Client) string {
	f.t.Helper()
	if err := c.Refresh(background); err != nil {
		f.t.Fatal(err)
	}
	seen := []any{c.Expiries()}
	for _, n := range c.Indexes() {
		ix, err := c.Index(background, n.Channel, n.Platform)
		if err != nil {
			f.t.Fatal(err)
		}
		seen = append(seen, ix)
	}
	b, err := json.Marshal(seen)
	if err != nil {
		f.t.Fatal(err)
	}
	return salt.ReplaceAllString(string(b), `"salt":""`)
}

var errStopped = errors.New("stopped here")

// A publisher that dies at any write leaves a tree in which a reader, new or old, sees what was there before, and on which the same
// command works.
func TestStoppedAtEveryWrite(t *testing.T) {
	if testing.Short() {
		t.Skip("minutes under the race detector, over code that other tests go through as well")
	}
	for name, op := range operations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stopEverywhere(t, op, func(f *feed, stop int) {
				n := 0
				f.repo.beforeWrite = func(string) error {
					if n++; n > stop {
						return errStopped
					}
					return nil
				}
				if err := op.run(f.repo); !errors.Is(err, errStopped) {
					f.t.Fatalf("%v", err)
				}
				f.repo.beforeWrite = nil
			})
		})
	}
}

// stopEverywhere runs an operation once as a whole, and once for each of its writes with a stop before it.
func stopEverywhere(t *testing.T, op operation, stopped func(f *feed, stop int)) {
	s, now := newStage(t, op), time.Now().Add(op.after)
	f := s.copy(t, now)
	before := f.look(f.knowing())
	writes := 0
	f.repo.beforeWrite = func(string) error { writes++; return nil }
	if err := op.run(f.repo); err != nil {
		t.Fatal(err)
	}
	after := f.look(f.client(t.TempDir()))
	if known := f.look(f.knowing()); after == before || known != after {
		t.Fatalf("before:\n%s\nafter:\n%s\nas an old client sees it:\n%s", before, after, known)
	}
	if writes != op.writes {
		t.Errorf("%d writes, want %d", writes, op.writes)
	}
	for stop := range writes {
		f := s.copy(t, now)
		stopped(f, stop)
		for who, c := range map[string]*Client{"old": f.knowing(), "new": f.client(t.TempDir())} {
			if got := f.look(c); got != before {
				t.Errorf("stopped at write %d, the %s client sees:\n%s\nwant:\n%s", stop, who, got, before)
			}
		}
		if err := op.run(f.repo); err != nil {
			t.Fatalf("again after a stop at write %d: %v", stop, err)
		}
		for who, c := range map[string]*Client{"old": f.knowing(), "new": f.client(t.TempDir())} {
			if got := f.look(c); got != after {
				t.Errorf("again after a stop at write %d, the %s client sees:\n%s\nwant:\n%s", stop, who, got, after)
			}
		}
	}
}

// killEnv makes the test's own executable a publisher that is killed: operation, number of the write, instant, feed.
const killEnv = "MOULT_TEST_KILLED_PUBLISHER"

// TestKilledAtEveryWrite is the same by real processes and SIGKILL.
func TestKilledAtEveryWrite(t *testing.T) {
	for name, op := range operations {
		if name != "publish" && os.Getenv("MOULT_PROMISES") != "full" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stopEverywhere(t, op, func(f *feed, stop int) {
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%d|%s|%s", killEnv, name, stop, f.now.Format(time.RFC3339Nano), f.repo.dir))
				out, err := cmd.CombinedOutput()
				var exit *exec.ExitError
				if !errors.As(err, &exit) || exit.Exited() {
					f.t.Fatalf("the publisher was not killed: %v: %s", err, out)
				}
			})
		})
	}
}

func publishUntilKilled() int {
	arg := strings.SplitN(os.Getenv(killEnv), "|", 4)
	stop, err := strconv.Atoi(arg[1])
	if err != nil {
		panic(err)
	}
	now, err := time.Parse(time.RFC3339Nano, arg[2])
	if err != nil {
		panic(err)
	}
	r, err := Open(arg[3], OpenOptions{Now: func() time.Time { return now }})
	if err != nil {
		panic(err)
	}
	n := 0
	r.beforeWrite = func(string) error {
		if n++; n > stop {
			self, err := os.FindProcess(os.Getpid())
			if err == nil {
				err = self.Kill()
			}
			if err != nil {
				panic(err)
			}
			select {}
		}
		return nil
	}
	fmt.Println(operations[arg[0]].run(r))
	return 1
}
