// Package packaging_test tries what lies here on real programs: the unit under a real systemd, the packages in a root directory, the image's layout
// without a network or a shell.
package packaging_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// buildDir is removed at the end.
var buildDir string

func TestMain(m *testing.M) {
	var err error
	if buildDir, err = os.MkdirTemp("", "moult-packaging-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(buildDir)
	os.Exit(code)
}

// packaged is what a package's hello says of updates.
const packaged = "it came with a package: apt-get install --only-upgrade hello, or dnf upgrade hello"

// programs are cmd/app, called hello, in three versions, and as it is put into packages and images; each is built when it is first wanted.
var programs = map[string]func() (string, error){}

func init() {
	fromPackage := " -X main.stateDir=/var/lib/hello -X 'main.disabled=" + packaged + "'"
	for name, flags := range map[string]string{
		"1.0.0": "-X main.version=1.0.0", "2.0.0": "-X main.version=2.0.0", "3.0.0": "-X main.version=3.0.0",
		"packaged-1.0.0": "-X main.version=1.0.0" + fromPackage, "packaged-1.1.0": "-X main.version=1.1.0" + fromPackage,
	} {
		programs[name] = sync.OnceValues(func() (string, error) { return build(name, flags) })
	}
}

func build(name, flags string) (string, error) {
	file := filepath.Join(buildDir, name)
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.name=hello "+flags, "-o", file, "./cmd/app")
	cmd.Dir, cmd.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return file, nil
}

func program(t *testing.T, name string) string {
	t.Helper()
	file, err := programs[name]()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func copyFile(t *testing.T, from, to string, mode os.FileMode) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, string(b), mode)
}

// write puts a file in its place by a rename, as a path that is watched wants it.
func write(t *testing.T, to, content string, mode os.FileMode) {
	t.Helper()
	temp := filepath.Join(filepath.Dir(to), "."+filepath.Base(to)+".new")
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(temp, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temp, to); err != nil {
		t.Fatal(err)
	}
}

// eventually waits for a state, with a deadline.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(20 * time.Millisecond) { // between two looks
		if time.Now().After(end) {
			t.Fatalf("timed out: %s", what)
		}
	}
}

// needRoot skips what only root on Linux may arrange.
func needRoot(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("needs root on Linux")
	}
}

func look(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skip("needs ", program)
	}
	return path
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}
