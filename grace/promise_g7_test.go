//go:build unix

package grace_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/grace/gracetest"
	"github.com/moult-go/moult/grace/role"
)

func init() { programs["unready"] = unreadyProgram }

// unreadyProgram is the full one, with more ways not to get ready.
func unreadyProgram() {
	if b, _ := os.ReadFile("panic"); role.Current() == role.Successor && len(b) > 0 {
		if string(b) == "at once" {
			panic("no such table")
		}
		time.AfterFunc(parseDuration(string(b)), func() { panic("no such column") })
	}
	fullProgram()
}

// TestPromiseG7: a new version that never gets ready, for whatever reason, costs no request; who asked is told the reason; and the next
// good upgrade works. (A badly signed one is never started: package updater has the tests.)
func TestPromiseG7(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, content []byte, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	s := start(t, "unready", "GRACE_TEST_PROBATION=200ms", "GRACE_TEST_START=2s", "GRACE_TEST_DRAIN=5s")
	s.waitUp()
	load := gracetest.Start(gracetest.Options{Addr: s.addr, Path: "/hello", SlowPath: "/hello?sleep=0.3",
		KeepAlive: 4, Idle: 8, New: 2, Slow: 2, Bytewise: 1})
	cases := []struct {
		name             string
		behaviour, panic string
		path             string
		cause, says      string
	}{
		{name: "exits", behaviour: "exit", cause: "exited", says: "cannot read the configuration"},
		{name: "panics before HELLO", panic: "at once", cause: "exited", says: "no such table"},
		{name: "panics after HELLO", panic: "300ms", behaviour: "hang", cause: "exited", says: "no such column"},
		{name: "hangs before HELLO", behaviour: "mute", cause: "start-timeout", says: "not ready within"},
		{name: "hangs after HELLO", behaviour: "hang", cause: "start-timeout", says: "not ready within"},
		{name: "is for another processor", path: write("foreign", foreign(image), 0o755), cause: "exec", says: "exec format error"},
		{name: "is garbage behind an ELF header", path: write("garbage", append(image[:20:20], make([]byte, 4096)...), 0o755), cause: "exec", says: "exec"},
		{name: "was cut off half way", path: write("half", image[:len(image)/2], 0o755), cause: "exited", says: "signal: "},
		{name: "is empty", path: write("empty", nil, 0o755), cause: "exec", says: "exec format error"},
		{name: "wants an interpreter that is not there", path: write("script", []byte("#!/nonexistent/interpreter\n"), 0o755), cause: "exec", says: "no such file"},
		{name: "is not executable", path: write("plain", image, 0o644), cause: "exec", says: "permission denied"},
		{name: "is unreadable", path: write("secret", image, 0), cause: "exec", says: "permission denied"},
		{name: "is a directory", path: dir, cause: "exec", says: "permission denied"},
		{name: "is not there", path: filepath.Join(dir, "missing"), cause: "exec", says: "no such file"},
	}
	for _, c := range cases {
		old := pidOf(t, s.addr)
		s.behave(c.behaviour)
		write := os.WriteFile(filepath.Join(s.dir, "panic"), []byte(c.panic), 0o600)
		if write != nil {
			t.Fatal(write)
		}
		cause, rest, _ := strings.Cut(s.upgrade("?path="+c.path), "|")
		if cause != c.cause || !strings.Contains(rest, c.says) {
			t.Errorf("%s: verdict %q, %q; want %q with %q", c.name, cause, rest, c.cause, c.says)
		}
		if pid := pidOf(t, s.addr); pid != old {
			t.Errorf("%s: pid %d serves, want the old %d", c.name, pid, old)
		}
		s.behave("")
		os.Remove(filepath.Join(s.dir, "panic"))
		if got := s.upgrade(""); got != "ok" {
			t.Errorf("%s: the next good version: %q", c.name, got)
		}
		if pid := pidOf(t, s.addr); pid == old {
			t.Errorf("%s: the old pid serves after the good upgrade", c.name)
		}
	}
	report := load.Stop()
	requests, failures := report.Total()
	t.Logf("%d of %d requests failed over %d bad and %d good versions", failures, requests, len(cases), len(cases))
	if failures > 0 || requests < 1000 {
		t.Errorf("%d of %d requests failed: %v", failures, requests, report.Failures)
	}
}

// foreign is an executable for another processor: e_machine of its ELF header, at byte 18, says AArch64, or x86-64 on that.
func foreign(image []byte) []byte {
	const x86, arm = 62, 183
	b := append([]byte(nil), image[:min(len(image), 1<<20)]...)
	machine := uint16(arm)
	if binary.LittleEndian.Uint16(b[18:]) == arm {
		machine = x86
	}
	binary.LittleEndian.PutUint16(b[18:], machine)
	return b
}
