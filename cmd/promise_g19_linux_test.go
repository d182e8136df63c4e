package cmd_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// size of the executables in bytes.
func g19Size() int {
	if os.Getenv("MOULT_PROMISES") == "full" {
		return 100 << 20
	}
	return 24 << 20
}

// padded writes an executable that grows to size by bytes that nobody loads. They compress by a half, as executables do, and those of
// two versions differ here and there.
func padded(from, to string, size int, version byte) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	pad := make([]byte, size-len(b))
	rand.NewChaCha8([32]byte{}).Read(pad)
	for i := range pad {
		pad[i] &= 0x0f
	}
	for i := 0; i < len(pad); i += 1 << 14 {
		pad[i] += version
	}
	return os.WriteFile(to, append(b, pad...), 0o755)
}

// TestPromiseG19: while it updates itself by a large executable, whichever way that comes, a server takes at most 32 MB more than before,
// and its staging child at most three times the executable and 32 MB.
func TestPromiseG19(t *testing.T) {
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	size, large := g19Size(), t.TempDir()
	for n, version := range []string{"1.0.0", "2.0.0"} {
		if err := padded(filepath.Join(bin, version), filepath.Join(large, version), size, byte(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := copyFile(filepath.Join(bin, "moult"), filepath.Join(large, "moult"), nil); err != nil {
		t.Fatal(err)
	}
	type way struct {
		name, staged string
		flags        string   // of moult publish
		versions     []string // in the feed; none: a path is watched
	}
	ways := []way{{"raw", "full", "--compress=false", []string{"2.0.0"}}, {"watched path", "full", "", nil}}
	if os.Getenv("MOULT_PROMISES") == "full" { // to make these takes longer than to update by them
		ways = append(ways, way{"zstd", "full, zstd", "--compress", []string{"2.0.0"}}, way{"delta", "delta", "--compress=false", []string{"1.0.0", "2.0.0"}})
	}
	for _, tc := range ways {
		t.Run(tc.name, func(t *testing.T) {
			addr, err := freeAddress()
			if err != nil {
				t.Fatal(err)
			}
			one := &served{addr: addr, log: "log"}
			s := &story{dir: t.TempDir(), bin: large, served: one, all: []*served{one}}
			defer s.end()
			for _, d := range []string{"opt", "drop", "www"} {
				err = errors.Join(err, os.Mkdir(filepath.Join(s.dir, d), 0o755))
			}
			if err := errors.Join(err, s.install(nil, []string{"1.0.0"})); err != nil {
				t.Fatal(err)
			}
			args, update := []string{"--watch", "drop/app", "--minisign-key", "key.pub", "--interval", "200ms"}, s.dropNow
			if tc.versions != nil {
				args, update = append(s.feedOf(t, tc.flags, tc.versions), "--interval", "1h"), s.upgradeNow
			} else if err := s.keys(nil, nil); err != nil {
				t.Fatal(err)
			}
			args = append(args, "--probation", "500ms")
			if err := errors.Join(s.start(os.Environ(), args), s.startLoad(nil, nil)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second) // what it takes under this load is what counts as idle
			server := s.cmd.Process.Pid
			idle := peakOf(server)
			watched := watchPeaks(server)
			if err := update(); err != nil {
				t.Fatalf("%v\n%s", err, s.logged())
			}
			if err := errors.Join(s.serves(nil, []string{"2.0.0"}), s.alone(nil, nil)); err != nil {
				t.Fatal(err)
			}
			peaks := <-watched
			successor := peakOf(s.pids()[0])
			if !strings.Contains(s.logged(), "payload="+tc.staged) && !strings.Contains(s.logged(), fmt.Sprintf("payload=%q", tc.staged)) {
				t.Errorf("not staged as %s:\n%s", tc.staged, s.logged())
			}
			_, failed := s.load.Stop().Total()
			s.load = nil
			t.Logf("executable %d MB: server %.1f MB idle, %.1f MB at most; staging child %.1f MB; successor %.1f MB; %d requests failed", size>>20, mb(idle), mb(peaks.server), mb(peaks.child), mb(successor), failed)
			if peaks.server > idle+32<<10 || failed > 0 {
				t.Error("the server took more than 32 MB above idle, or failed")
			}
			if peaks.child == 0 || peaks.child > 3*size>>10+32<<10 {
				t.Error("the staging child was not seen, or took more than three times the executable and 32 MB")
			}
		})
	}
}

// feedOf publishes versions and serves the feed.
func (s *story) feedOf(t *testing.T, flags string, versions []string) []string {
	t.Helper()
	err := s.run("moult", "init", "feed", "--app", "app", "--plaintext-keys")
	for _, version := range versions {
		if err == nil {
			err = s.run("moult", "publish", "feed", filepath.Join(s.bin, version), "--version", version, "--channel", "stable", flags)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	feed := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(s.dir, "feed"))))
	t.Cleanup(feed.Close)
	return []string{"--feed", feed.URL, "--root", "feed/metadata/1.root.json"}
}

func (s *story) upgradeNow() error {
	out, err := exec.Command(filepath.Join(s.dir, "opt", "app"), "upgrade", "--yes").CombinedOutput()
	if err != nil {
		return fmt.Errorf("upgrade: %w\n%s", err, out)
	}
	return nil
}

func (s *story) dropNow() error { return s.drop(nil, []string{"2.0.0"}) }

// TestPromiseG19Control: a server that calls selfupdate.Apply holds the executable, at least once.
func TestPromiseG19Control(t *testing.T) {
	dir, size := t.TempDir(), g19Size()
	program, payload := filepath.Join(dir, "selfapply"), filepath.Join(dir, "payload")
	out, err := exec.Command("go", "build", "-o", program, "./testdata/selfapply").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := padded(program, payload, size, 0); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, payload, program)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) {
		res, err := http.Get("http://" + strings.TrimSpace(addr) + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatal(res.Status)
		}
	}
	for range 100 {
		get("/")
	}
	idle := peakOf(cmd.Process.Pid)
	get("/update")
	peak := peakOf(cmd.Process.Pid)
	t.Logf("executable %d MB: selfupdate.Apply in the server %.1f MB idle, %.1f MB at most", size>>20, mb(idle), mb(peak))
	if peak < idle+size>>10 {
		t.Error("it took less than the executable: the measurement sees nothing")
	}
}

func mb(kb int) float64 { return float64(kb) / 1024 }

var peakLine = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peakOf returns the most memory that a process has had so far, in kB; 0 if it is gone.
func peakOf(pid int) int {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	m := peakLine.FindSubmatch(status)
	if m == nil {
		return 0
	}
	kb, _ := strconv.Atoi(string(m[1]))
	return kb
}

// peaks are those of a server and of the child that it starts from its own executable.
type peaks struct{ server, child int }

// watchPeaks looks until the server has ended.
func watchPeaks(server int) <-chan peaks {
	own, err := os.Stat(fmt.Sprintf("/proc/%d/exe", server))
	done := make(chan peaks, 1)
	go func() { // ends with the server
		var p peaks
		for err == nil {
			now := peakOf(server)
			if now == 0 {
				break
			}
			p.server = max(p.server, now)
			children, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", server))
			for _, file := range children {
				b, _ := os.ReadFile(file)
				for _, f := range bytes.Fields(b) {
					pid, _ := strconv.Atoi(string(f))
					if exe, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && os.SameFile(exe, own) {
						p.child = max(p.child, peakOf(pid))
					}
				}
			}
			time.Sleep(time.Millisecond) // between two looks
		}
		done <- p
	}()
	return done
}
