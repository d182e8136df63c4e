package updater

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/minio/selfupdate"
	"golang.org/x/sys/unix"

	"github.com/moult-go/moult/grace/role"
	"github.com/moult-go/moult/release"
)

// spun is what a decoder that never ends is busy with.
var spun atomic.Int64

// What a payload may make of a decoder that has a hole: formats whose decoders do it at once.
func init() {
	hostile := func(name string, do func(d release.Decoding, dir string) error) {
		release.RegisterFormat(release.Format(name), func(_ io.Writer, _ io.Reader, d release.Decoding) error {
			base, _ := d.Base.(*os.File) // a copy in the child's own directory
			if base == nil {
				return do(d, "")
			}
			return do(d, filepath.Dir(base.Name()))
		})
	}
	answer := func(format string, a ...any) error {
		fmt.Fprintf(os.NewFile(role.First, "channel"), format, a...)
		os.Exit(0)
		return nil
	}
	claim := func(d release.Decoding) error { return answer(`{"length":%d,"digest":%q}`, d.Length, d.SHA256) }
	hostile("test-spin", func(release.Decoding, string) error {
		for n := 0; ; n++ {
			spun.Store(int64(n))
		}
	})
	hostile("test-fork", func(release.Decoding, string) error {
		cmd := exec.Command("sleep", "300")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "grandchild %d\n", cmd.Process.Pid)
		os.Exit(1)
		return nil
	})
	hostile("test-fill", func(_ release.Decoding, dir string) error {
		f, err := os.Create(filepath.Join(dir, "large"))
		for n := 0; err == nil && n < 256; n++ {
			_, err = f.Write(make([]byte, 1<<20))
		}
		return err
	})
	hostile("test-talk", func(release.Decoding, string) error {
		for {
			fmt.Fprintln(os.Stderr, strings.Repeat("blah ", 1000))
		}
	})
	hostile("test-mute", func(release.Decoding, string) error { os.Exit(0); return nil })
	hostile("test-garbage", func(release.Decoding, string) error { return answer("?") })
	hostile("test-verbose", func(release.Decoding, string) error {
		channel, piece := os.NewFile(role.First, "channel"), bytes.Repeat([]byte(" "), 1<<20)
		for range 64 {
			channel.Write(piece)
		}
		os.Exit(0)
		return nil
	})
	hostile("test-other", func(release.Decoding, string) error { return answer("{}") })
	hostile("test-liar", func(d release.Decoding, _ string) error { return claim(d) })
	hostile("test-forger", func(d release.Decoding, dir string) error {
		os.WriteFile(filepath.Join(dir, ".base.new"), []byte("something else"), 0o700)
		return claim(d)
	})
	hostile("test-tells", func(release.Decoding, string) error { return errors.New(whatItIs()) })
	release.RegisterFormat("test-bspatch", func(w io.Writer, r io.Reader, d release.Decoding) error {
		return selfupdate.NewBSDiffPatcher().Patch(io.NewSectionReader(d.Base, 0, d.BaseLength), w, r)
	})
}

// whatItIs tells what a staging child has from its parent.
func whatItIs() string {
	open, _ := filepath.Glob("/proc/self/fd/*")
	var files []string
	for _, fd := range open {
		to, _ := os.Readlink(fd)
		files = append(files, filepath.Base(to))
	}
	adj, _ := os.ReadFile("/proc/self/oom_score_adj")
	var core, file, space unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_CORE, &core)
	unix.Getrlimit(unix.RLIMIT_FSIZE, &file)
	unix.Getrlimit(unix.RLIMIT_AS, &space)
	return fmt.Sprintf("files +%s+ env %d adj %s core %d file %d space %v", strings.Join(files, "+"), len(os.Environ()), bytes.TrimSpace(adj), core.Max, file.Max, space.Max < 8<<30)
}

// headerBomb is a patch of 32 bytes that says of itself that 8 GiB follow.
func headerBomb() []byte {
	b := append([]byte("BSDIFF40"), make([]byte, 24)...)
	binary.LittleEndian.PutUint64(b[8:], 8<<30)
	return b
}

// hostileBench offers version 9.9.2-good as a delta of a format. What goes wrong with a delta leads to the full download, which is
// of an unknown format here, so that the delta's own failure is the last word.
func hostileBench(t *testing.T, f release.Format, payload []byte) *bench {
	t.Helper()
	b := newBench(t, nil)
	b.lock()
	c := b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	c.Deltas = []release.Delta{{From: digestOf([]byte(oldBytes)), Payload: b.source.encoded(f, payload)}}
	c.Full.Format = "future"
	b.source.offers = []Candidate{c}
	return b
}

// children are the processes that this one has and has not waited for.
func children() string {
	var all []byte
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	for _, t := range tasks {
		b, _ := os.ReadFile(t)
		all = append(all, b...)
	}
	return string(all)
}

// TestHostilePayload: whatever a payload makes of its decoder costs the staging child alone. This process keeps its memory, no
// child is left, and the next update works.
func TestHostilePayload(t *testing.T) {
	defer func(d time.Duration) { stageTimeout = d }(stageTimeout)
	for name, tc := range map[string]struct {
		format  release.Format
		payload []byte
		class   Class
		reason  string
		says    string
	}{
		"allocates 8 GiB":             {"test-8gib", nil, Failed, "stage-failed", ""},
		"header that asks for 8 GiB":  {"test-bspatch", headerBomb(), Failed, "stage-failed", ""},
		"panics":                      {"test-panic", nil, Failed, "stage-failed", "panic: no"},
		"spins":                       {"test-spin", nil, Failed, "stage-failed", "did not end in time"},
		"leaves a process behind":     {"test-fork", nil, Failed, "stage-failed", "grandchild"},
		"fills the disk":              {"test-fill", nil, Failed, "stage-failed", "file too large"},
		"writes endlessly":            {"test-bomb", nil, Verification, "too-long", ""},
		"talks endlessly":             {"test-talk", nil, Failed, "stage-failed", "to its outputs"},
		"exits without an answer":     {"test-mute", nil, Failed, "stage-failed", "answer"},
		"answers garbage":             {"test-garbage", nil, Failed, "stage-failed", "answer"},
		"answers too much":            {"test-verbose", nil, Failed, "stage-failed", "answered more than"},
		"says that it made another":   {"test-other", nil, Failed, "stage-failed", "something else"},
		"says that it has done well":  {"test-liar", nil, Failed, "io", ""},
		"leaves another file instead": {"test-forger", nil, Verification, "digest-mismatch", ""},
	} {
		t.Run(name, func(t *testing.T) {
			stageTimeout = time.Minute
			if name == "spins" {
				stageTimeout = 300 * time.Millisecond
			}
			if len(tc.payload) == 0 {
				tc.payload = []byte("payload")
			}
			b := hostileBench(t, tc.format, tc.payload)
			before := memoryOf(t, os.Getpid(), "VmRSS")
			resetPeak(t, os.Getpid())
			began := time.Now()
			_, err := b.Upgrade(t.Context(), Request{})
			wantError(t, err, tc.class, tc.reason)
			if !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%.300v: want %q", err, tc.says)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
			if peak := memoryOf(t, os.Getpid(), "VmHWM"); peak > before+16<<10 {
				t.Errorf("this process took %d kB, and %d before", peak, before)
			}
			if m := regexp.MustCompile(`grandchild (\d+)`).FindStringSubmatch(err.Error()); m != nil {
				pid, _ := strconv.Atoi(m[1])
				waitGone(t, pid)
			}
			if left := children(); left != "" {
				t.Errorf("children are left: %s", left)
			}
			if b.installed() != oldBytes {
				t.Error("installed all the same")
			}
			b.wantTidy()
			stageTimeout = time.Minute
			good := candidate(t, "9.9.3-good")
			b.source.offer("9.9.3-good", good)
			if _, err := b.Upgrade(t.Context(), Request{}); err != nil || b.installed() != string(good) {
				t.Fatalf("the next update: %v", err)
			}
		})
	}
}

// TestStagingChildHasLittle: no file that its parent has opened, a clean environment, no core dump, one file of
// the signed length at most, and the first place when memory is short.
func TestStagingChildHasLittle(t *testing.T) {
	t.Setenv("SECRET", "token")
	b := hostileBench(t, "test-tells", []byte("payload"))
	file, err := os.Open(b.path) // what a server has open
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	_, err = b.Upgrade(t.Context(), Request{})
	wantError(t, err, Verification, "bad-delta")
	env := 0
	for _, name := range childEnv {
		if _, ok := os.LookupEnv(name); ok {
			env++
		}
	}
	want := fmt.Sprintf(" env %d adj 1000 core 0 file %d space true", env, b.source.offers[0].Length)
	if said := err.Error(); !strings.HasSuffix(said, want) || !strings.Contains(said, "+base+") || strings.Contains(said, "+lock+") || strings.Contains(said, "+hello+") {
		t.Errorf("%s: want …%s, and neither the lock nor the file hello open", said, want)
	}
}

// TestChildrenDieWithTheirParent: a staging child and a proof whose server is killed do not stay behind.
func TestChildrenDieWithTheirParent(t *testing.T) {
	for _, mode := range []string{"spin", "hang"} {
		t.Run(mode, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "hello"), []byte(oldBytes), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "payload"), candidate(t, "9.9.2-hang"), 0o644); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "UPDATER_TEST_DIR="+dir, "UPDATER_TEST_MODE="+mode)
			cmd.Stderr = os.Stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Wait()
			defer cmd.Process.Kill()
			var grandchild int
			waitFor(t, "child", func() bool {
				for _, pid := range pidsBelow(cmd.Process.Pid) {
					// A staging child has read its job then; a proof, which comes after, is of another executable.
					low, _ := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid))
					exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
					if mode == "spin" && string(low) == "1000\n" || mode == "hang" && filepath.Base(exe) == "hello" {
						grandchild = pid
					}
				}
				return grandchild != 0
			})
			defer syscall.Kill(grandchild, syscall.SIGKILL)
			cmd.Process.Kill()
			cmd.Wait()
			waitGone(t, grandchild)
		})
	}
}

func init() {
	otherProcess["spin"] = func() int { return hangingUpdate("test-spin") }
	otherProcess["hang"] = func() int { return hangingUpdate(release.Raw) }
}

// hangingUpdate comes to no end: in the staging child, or in the proof of a build that hangs.
func hangingUpdate(f release.Format) int {
	dir := os.Getenv("UPDATER_TEST_DIR")
	payload, err := os.ReadFile(filepath.Join(dir, "payload"))
	if err != nil {
		return 1
	}
	src := &fakeSource{}
	c := src.offer("9.9.2-hang", payload)
	c.Full = src.encoded(f, payload)
	src.offers = []Candidate{c}
	u, err := New(Options{Name: "hello", Version: "1.0.0", Source: src, InstallPath: filepath.Join(dir, "hello"), Module: "-", ProofTimeout: time.Minute})
	if err != nil {
		return 1
	}
	u.Upgrade(context.Background(), Request{})
	return 0
}

func pidsBelow(parent int) (list []int) {
	all, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	for _, file := range all {
		b, _ := os.ReadFile(file)
		for _, f := range strings.Fields(string(b)) {
			pid, _ := strconv.Atoi(f)
			list = append(list, pid)
		}
	}
	slices.Sort(list)
	return list
}

func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) { // between two looks
		if time.Now().After(end) {
			t.Fatalf("no %s", what)
		}
	}
}

// waitGone waits until a process is gone, or is dead and nobody has asked for it yet.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	waitFor(t, fmt.Sprintf("end of process %d", pid), func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || bytes.Contains(stat, []byte(") Z "))
	})
}

// memoryOf returns a line of /proc/PID/status in kB.
func memoryOf(t *testing.T, pid int, line string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	m := regexp.MustCompile(line + `:\s+(\d+) kB`).FindSubmatch(status)
	if err != nil || m == nil {
		t.Fatalf("no %s: %v", line, err)
	}
	kb, _ := strconv.Atoi(string(m[1]))
	return kb
}

// resetPeak makes VmHWM start anew.
func resetPeak(t *testing.T, pid int) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}
