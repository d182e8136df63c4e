package grace_test

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/moult-go/moult/grace/gracetest"
)

// The programs below testdata/skew speak the handover protocol by hand, each as another release does. Where they speak a version in
// common with this package, they take over from it and hand over to it; where not, both sides say so and nothing is lost.

// TestVersionSkew: under load from clients that never retry, the service goes from release to release and back.
func TestVersionSkew(t *testing.T) {
	t.Parallel()
	program := buildSkew(t)
	t.Run("chain", func(t *testing.T) {
		t.Parallel()
		s := startSkew(t, program["current"], "GRACE_TEST_PROBATION=400ms")
		load := skewLoad(s)
		for _, next := range []string{"v1", "current", "newer", "current", "current"} {
			s.mustUpgrade(program[next])
			eventually(t, "the predecessor's end", func() bool { return len(s.pids()) == 1 })
			if name, _ := s.who(); name != next {
				t.Errorf("%s serves, want %s", name, next)
			}
		}
		checkSkewLoad(t, load)
	})
	for _, c := range []struct{ from, to string }{
		{"current", "v1"}, {"v1", "current"}, {"current", "newer"}, {"newer", "current"},
	} {
		t.Run(c.from+" takes "+c.to+" back", func(t *testing.T) {
			t.Parallel()
			s := startSkew(t, program[c.from], "GRACE_TEST_PROBATION=60s")
			_, old := s.who()
			verdict := s.upgrade(program[c.to])
			fresh := s.waitProbation(old, c.to)
			if c.from == "newer" || c.to == "newer" {
				s.file("lamps")
				eventually(t, "every unknown descriptor closed", s.dark)
			}
			s.signal(fresh, syscall.SIGKILL)
			if v := <-verdict; !strings.HasPrefix(v, "crashed|") {
				t.Errorf("verdict %q on a successor that was killed", v)
			}
			if name, pid := s.who(); pid != old {
				t.Errorf("%s, pid %d, serves, want %s, pid %d", name, pid, c.from, old)
			}
			if v := <-s.upgrade(filepath.Join(s.dir, "missing")); !strings.HasPrefix(v, "exec|") {
				t.Errorf("verdict %q on an executable that is not there", v)
			}
		})
		t.Run(c.from+" dies before "+c.to+" is committed", func(t *testing.T) {
			t.Parallel()
			s := startSkew(t, program[c.from], "GRACE_TEST_PROBATION=2s")
			_, old := s.who()
			s.upgrade(program[c.to]) // its verdict dies with it
			fresh := s.waitProbation(old, c.to)
			s.signal(old, syscall.SIGKILL)
			eventually(t, "a handover of the orphan", func() bool { return <-s.upgrade(program["current"]) == "ok" })
			if name, pid := s.who(); name != "current" || pid == fresh {
				t.Errorf("%s, pid %d, serves after the handover of the orphan", name, pid)
			}
		})
	}
}

// TestVersionSkewRefused: two releases without a version in common say so, and the older one serves on.
func TestVersionSkewRefused(t *testing.T) {
	t.Parallel()
	program := buildSkew(t)
	for _, c := range []struct{ from, to string }{
		{"current", "older"}, {"older", "current"}, {"current", "newer"}, {"newer", "current"},
	} {
		t.Run(c.from+" to "+c.to, func(t *testing.T) {
			t.Parallel()
			s := startSkew(t, program[c.from], "NEWER_OLDEST=2")
			_, old := s.who()
			load := skewLoad(s)
			if v := <-s.upgrade(program[c.to]); !strings.HasPrefix(v, "incompatible|") || !strings.Contains(v, "protocol") {
				t.Errorf("verdict %q", v)
			}
			if name, pid := s.who(); name != c.from || pid != old {
				t.Errorf("%s, pid %d, serves, want %s, pid %d", name, pid, c.from, old)
			}
			checkSkewLoad(t, load)
			eventually(t, "the end of the other", func() bool { return len(s.pids()) == 1 })
		})
	}
}

// buildSkew returns the path of each release: the test binary is the current one.
func buildSkew(t *testing.T) map[string]string {
	t.Helper()
	current, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	programs, dir := map[string]string{"current": current}, t.TempDir()
	sources, err := filepath.Glob("testdata/skew/*")
	if err != nil {
		t.Fatal(err)
	}
	build := []string{"build", "-o", dir}
	for _, src := range sources {
		programs[filepath.Base(src)] = filepath.Join(dir, filepath.Base(src))
		build = append(build, "./"+src)
	}
	if out, err := exec.Command("go", build...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return programs
}

type skewServer struct{ *server }

func startSkew(t *testing.T, exe string, env ...string) skewServer {
	t.Helper()
	s := startExe(t, exe, t.TempDir(), "full", env...)
	s.waitUp()
	return skewServer{s}
}

// upgrade asks whoever serves for a handover to the executable; the verdict follows.
func (s skewServer) upgrade(path string) <-chan string {
	verdict := make(chan string, 1)
	go func() {
		v, err := get(s.addr, "/upgrade?path="+url.QueryEscape(path))
		if err != nil {
			v = err.Error()
		}
		verdict <- v
	}()
	return verdict
}

func (s skewServer) mustUpgrade(path string) {
	s.t.Helper()
	if v := <-s.upgrade(path); v != "ok" {
		s.t.Fatalf("upgrade to %s: %s", path, v)
	}
}

// who returns the release that serves, and its pid.
func (s skewServer) who() (name string, pid int) {
	s.t.Helper()
	body, err := get(s.addr, "/hello")
	if err != nil {
		s.t.Fatal(err)
	}
	if name, _, _ = strings.Cut(body, " ospid:"); name == body {
		name = "current"
	}
	_, number, _ := strings.Cut(body, "ospid:")
	if pid, err = strconv.Atoi(number); err != nil {
		s.t.Fatalf("no pid in %q", body)
	}
	return name, pid
}

// waitProbation waits until another process than old answers.
func (s skewServer) waitProbation(old int, name string) (pid int) {
	s.t.Helper()
	eventually(s.t, name+" on probation", func() bool {
		var got string
		got, pid = s.who()
		return pid != old && got == name
	})
	return pid
}

// dark reports whether every descriptor that the newer release has sent unasked is closed. Those are pipes: it sees their end.
func (s skewServer) dark() bool {
	b, _ := os.ReadFile(filepath.Join(s.dir, "lamps"))
	return strings.Count(string(b), "lit") == strings.Count(string(b), "out")
}

func skewLoad(s skewServer) *gracetest.Load {
	return gracetest.Start(gracetest.Options{Addr: s.addr, Path: "/hello", SlowPath: "/hello?sleep=0.3",
		KeepAlive: 4, Idle: 8, New: 2, Slow: 2, Bytewise: 2})
}

func checkSkewLoad(t *testing.T, load *gracetest.Load) {
	t.Helper()
	report := load.Stop()
	requests, failures := report.Total()
	t.Logf("%d of %d requests failed", failures, requests)
	if failures > 0 || requests < 20 {
		t.Errorf("%d of %d requests failed:\n%s", failures, requests, report)
	}
}
