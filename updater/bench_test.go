package updater

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/moult-go/moult/grace/role"
	"github.com/moult-go/moult/release"
)

func TestMain(m *testing.M) {
	role.Act(role.Report{}) // staging children of the tests
	// The race detector lets every process sleep for a second at its end, unless it is told not to.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	childEnv = append(childEnv, "GORACE")
	if f := otherProcesses[os.Getenv("UPDATER_TEST_MODE")]; f != nil {
		os.Exit(f())
	}
	if os.Getenv("UPDATER_TEST_DIR") != "" {
		f, ok := otherProcess[os.Getenv("UPDATER_TEST_MODE")]
		if !ok {
			f = otherProcess[""]
		}
		os.Exit(f())
	}
	os.Exit(m.Run())
}

// otherProcess is what the test binary does as a child of a test, by its mode; "" stands for all other modes.
var otherProcess = map[string]func() int{}

// otherProcesses is the same for other tests, by UPDATER_TEST_MODE.
var otherProcesses = map[string]func() int{}

const linked = "9.9.1-good"

// candidate returns an executable of a version of linked's length.
func candidate(t *testing.T, version string) []byte {
	t.Helper()
	b, err := buildCandidate()
	if err != nil {
		t.Fatal(err)
	}
	if len(version) != len(linked) {
		t.Fatalf("version %s: length", version)
	}
	return bytes.ReplaceAll(b, []byte(linked), []byte(version))
}

var buildCandidate = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "candidate")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	exe := filepath.Join(dir, "candidate")
	cmd := exec.Command("go", "build", "-o", exe, "-ldflags", "-s -w -X main.version="+linked, "./testdata/candidate")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, errors.New(string(out))
	}
	return os.ReadFile(exe)
})

// fakeSource offers what is put into it.
type fakeSource struct {
	mu      sync.Mutex
	offers  []Candidate
	payload map[release.Digest][]byte
	err     error
	fetched int
	checked int
}

func (s *fakeSource) offer(version string, payload []byte) Candidate {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, n, _ := release.DigestReader(bytes.NewReader(payload))
	c := Candidate{Version: release.MustParseVersion(version), Platform: release.Host(), Channel: stable, Length: n, Digest: d, Full: release.Payload{Path: version, Length: n, SHA256: d}}
	if s.payload == nil {
		s.payload = map[release.Digest][]byte{}
	}
	s.payload[d] = payload
	s.offers = append(s.offers, c)
	return c
}

func (s *fakeSource) Check(context.Context, Query) ([]Candidate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checked++
	return s.offers, s.err
}

func (s *fakeSource) Fetch(_ context.Context, _ Query, p release.Payload, dst io.Writer) error {
	s.mu.Lock()
	b := s.payload[p.SHA256]
	s.fetched++
	s.mu.Unlock()
	_, err := io.Copy(dst, bytes.NewReader(b))
	return err
}

func (s *fakeSource) String() string          { return "fake" }
func (s *fakeSource) Interval() time.Duration { return 5 * time.Millisecond }

// handoverFunc is a Handover.
type handoverFunc func(ctx context.Context, path string, commit func() error) error

func (f handoverFunc) Handover(ctx context.Context, path string, commit func() error) error {
	return f(ctx, path, commit)
}

// undone is an Undoing.
type undone struct {
	verdict, undone, guilty bool
	err                     error
}

func (e *undone) Error() string  { return "the successor is gone" }
func (e *undone) Verdict() bool  { return e.verdict }
func (e *undone) Undone() bool   { return e.undone }
func (e *undone) Guilty() bool   { return e.guilty }
func (e *undone) Words() string  { return "panic: \x1b[2Jno" }
func (e *undone) Reason() string { return "because" }
func (e *undone) Unwrap() error  { return e.err }

// bench is an installation in a directory of its own.
type bench struct {
	t      *testing.T
	path   string
	source *fakeSource
	log    io.Writer
	*Updater
}

func (b *bench) statePath() string   { return filepath.Join(b.dir, stateFile) }
func (b *bench) historyPath() string { return filepath.Join(b.dir, historyFile) }

const oldBytes = "#!/bin/sh\necho the old one\n"

func newBench(t *testing.T, change func(*Options)) *bench {
	t.Helper()
	b := &bench{t: t, path: filepath.Join(t.TempDir(), "hello"), source: &fakeSource{}, log: io.Discard}
	if err := os.WriteFile(b.path, []byte(oldBytes), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(b.path, 0o751); err != nil {
		t.Fatal(err)
	}
	b.open(change)
	return b
}

// open is a new process's view of the same installation.
func (b *bench) open(change func(*Options)) {
	b.t.Helper()
	o := Options{Name: "hello", Version: "1.0.0", Source: b.source, InstallPath: b.path, Logger: slog.New(slog.NewTextHandler(b.log, nil)),
		IgnorePackageManager: true}
	if change != nil {
		change(&o)
	}
	u, err := New(o)
	if err != nil {
		b.t.Fatal(err)
	}
	u.pause = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	b.Updater = u
}

func (b *bench) lock() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 10*time.Second)
	defer cancel()
	if err := b.Lock(ctx); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { b.Unlock() })
}

func (b *bench) installed() string {
	b.t.Helper()
	got, err := os.ReadFile(b.path)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(got)
}

func (b *bench) status() Status {
	b.t.Helper()
	s, err := b.Status()
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// leftovers are the files that a settled installation has no use for.
func (b *bench) wantTidy() {
	b.t.Helper()
	s := b.status()
	wanted := map[string]bool{}
	for _, k := range append(s.Kept, Kept{"1.0.0", s.Installed}) {
		wanted[k.Digest.Short()] = true
	}
	entries, err := os.ReadDir(filepath.Join(b.dir, "versions"))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range entries {
		if _, digest, _ := cutLast(e.Name(), "-"); !wanted[digest] {
			b.t.Errorf("left over: %s", e.Name())
		}
	}
	if left, _ := os.ReadDir(filepath.Join(b.dir, "download")); len(left) > 0 {
		b.t.Errorf("left over: download %v", left)
	}
	if s.Phase != "idle" || s.Attempt != nil {
		b.t.Errorf("phase %s, attempt %v", s.Phase, s.Attempt)
	}
}

func wantError(t *testing.T, err error, c Class, reason string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want class %s, reason %s", err, c, reason)
	}
	if e.Class != c || e.Reason != reason {
		t.Fatalf("error %v: class %s, reason %s; want %s, %s", err, e.Class, e.Reason, c, reason)
	}
}
