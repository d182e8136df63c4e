package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/updater"
)

// helloSource is a program that answers the proof.
const helloSource = `package main

import (
	"fmt"
	"os"

	"example.com/hello/role"
)

var version = "dev"

func main() {
	if v := os.Getenv("HELLO_EXIT"); v != "" { os.Exit(3) }
	role.Act(role.Report{Name: "hello", Version: version})
	fmt.Println("hello", version)
}
`

// plainSource is one that does not.
const plainSource = `package main

import "fmt"

var version = "dev"

func main() { fmt.Println("plain version v" + version + " of today") }
`

// builds makes real programs, each once; module example.com/hello, with a copy of package role.
var builds = struct {
	sync.Mutex
	dir  string
	made map[string]string
}{made: map[string]string{}}

func removeBuilds() { os.RemoveAll(builds.dir) }

// build returns a program made of ./PKG by go build with these flags.
func build(t *testing.T, pkg string, flags ...string) string {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	if builds.dir == "" {
		dir, err := os.MkdirTemp("", "moult-builds-")
		if err != nil {
			t.Fatal(err)
		}
		builds.dir = dir
		for name, text := range map[string]string{
			"go.mod": "module example.com/hello\n\ngo 1.26\n", "hello/main.go": helloSource, "plain/main.go": plainSource,
			"other/go.mod": "module example.com/other\n\ngo 1.26\n", "other/main.go": plainSource,
		} {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.CopyFS(filepath.Join(dir, "role"), os.DirFS(roleSource)); err != nil {
			t.Fatal(err)
		}
	}
	key := pkg + strings.Join(flags, " ")
	if builds.made[key] == "" {
		out, err := os.MkdirTemp(builds.dir, "out")
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("go", append(append([]string{"build", "-o", filepath.Join(out, pkg)}, flags...), ".")...)
		cmd.Dir = filepath.Join(builds.dir, pkg)
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		builds.made[key] = filepath.Join(out, pkg)
	}
	return builds.made[key]
}

var roleSource = func() string {
	dir, err := filepath.Abs("../../grace/role")
	if err != nil {
		panic(err)
	}
	return dir
}()

// strip is how a release is built: without debug information.
const strip = "-ldflags=-s -w -X main.version="

// newPublisher makes a feed of app in an empty directory and lets programs be asked for real.
func newPublisher(t *testing.T, app string) {
	t.Helper()
	t.Chdir(t.TempDir())
	want(t, 0, "init", "feed", "--app", app, "--plaintext-keys")
	stub := askProgram
	askProgram = updater.Report
	t.Cleanup(func() { askProgram = stub })
}

// treeOf lists the files of a feed with their digests.
func treeOf(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == ".lock" {
			return err
		}
		sum, _, err := release.DigestFile(path)
		b.WriteString(path + " " + sum.Short() + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// outcomes are how the checks of a published document ended, "name:outcome", but for those that passed.
func outcomes(t *testing.T, stdout string) string {
	t.Helper()
	var doc publishResult
	if err := json.Unmarshal([]byte(stdout), &doc); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, c := range doc.Checks {
		if c.Outcome != passed {
			list = append(list, c.Check+":"+string(c.Outcome))
		}
	}
	return strings.Join(slices.Compact(list), " ")
}

// TestPublishDist: what goreleaser made is published by one command. The executables in testdata are bare headers, so what needs more is skipped.
func TestPublishDist(t *testing.T) {
	dist := distCopy(t, "hello")
	newPublisher(t, "hello")
	before := treeOf(t, "feed")
	want(t, exitVerify, "publish", "feed", dist) // no build information: servers would refuse it
	said := want(t, 0, "publish", "feed", dist, "--skip-check", "module", "--dry-run")
	if !strings.Contains(said, "hello 1.4.0 can be published in beta; nothing was written") || strings.Count(said, "\n") < 14 {
		t.Errorf("a dry run says:\n%s", said)
	}
	if after := treeOf(t, "feed"); after != before {
		t.Errorf("a refusal and a dry run left traces:\n%s\nbefore:\n%s", after, before)
	}
	said = want(t, 0, "publish", dist, "--skip-check", "module")
	for _, line := range []string{"hello 1.4.0 is in beta", "linux/arm/v7", "skipped: module", "moult verify feed --root feed/metadata/1.root.json", "moult promote feed 1.4.0", "moult sync feed"} {
		if !strings.Contains(said, line) {
			t.Errorf("publish does not say %q:\n%s", line, said)
		}
	}
	doc := document(t, want(t, 0, "list", "feed", "--json"))
	if listed := doc["versions"].([]any)[0].(map[string]any); listed["version"] != "1.4.0" || len(listed["platforms"].([]any)) != 9 {
		t.Errorf("listed %v", listed)
	}
	want(t, 1, "publish", dist, "--skip-check", "module") // not newer
	want(t, 0, "publish", dist, "--skip-check", "module,newer")
	want(t, 0, "publish", dist, "--skip-check", "module", "--version", "1.5.0")
	want(t, exitUsage, "publish", dist, "--skip-check", "modules")
	want(t, exitUsage, "publish", dist, "--binary", "other")
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	removeAll(dist, "server_*") // what is left are archives
	want(t, 0, "publish", dist, "--skip-check", "module", "--version", "1.6.0")
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestChecks: each check by a program that it is for. "" for nothing to remark; "!" where publishing is refused.
func TestChecks(t *testing.T) {
	good := build(t, "hello", "-trimpath", strip+"1.0.0")
	plain := build(t, "plain", "-trimpath", strip+"1.0.0")
	lost := filepath.Join(t.TempDir(), "hello") // its mode, as archives of build artifacts lose it
	script, empty, setuid := filepath.Join(t.TempDir(), "script"), filepath.Join(t.TempDir(), "empty"), filepath.Join(t.TempDir(), "hello")
	misnamed := filepath.Join(t.TempDir(), "hello-windows-386")
	b, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	for path, f := range map[string]struct {
		b    []byte
		mode fs.FileMode
	}{lost: {b, 0o644}, script: {[]byte("#!/bin/sh\n"), 0o755}, empty: {nil, 0o755}, setuid: {b, 0o755 | fs.ModeSetuid}, misnamed: {b, 0o755}} {
		if err := os.WriteFile(path, f.b, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, f.mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		args    string
		outcome string // or "!" and a word of the failure
	}{
		"good":               {good, ""},
		"mode was lost":      {lost, ""},
		"other version":      {good + " --version 1.0.1", "!version: it says that it is version"},
		"no version":         {build(t, "hello", "-trimpath", "-ldflags=-s -w"), "!version: it says that it is version"},
		"other version, so":  {good + " --version 1.0.1 --skip-check version", "version:skipped"},
		"other program":      {good + " --app other", "!start: it says that it is"},
		"not asked":          {plain, "start:not made version:not made"},
		"asked by a flag":    {plain + " --run-version", ""},
		"says another one":   {plain + " --run-version --version 2.0.0", "!version: it says that it is version"},
		"the linker told":    {build(t, "plain", strip+"1.0.0"), "start:not made"},
		"the linker told so": {build(t, "plain", strip+"1.0.0") + " --version 2.0.0", "!version: the linker was told"},
		"compressed DWARF":   {build(t, "hello", "-ldflags=-X main.version=1.0.0"), "dwarf:warning"},
		"uncompressed DWARF": {build(t, "hello", "-ldflags=-compressdwarf=false -X main.version=1.0.0"), ""},
		"debug build":        {build(t, "hello", "-gcflags=-N -l", strip+"1.0.0"), "debug:warning"},
		"not for this":       {good + " --platform linux/s390x", "!platform: its header says"},
		"called otherwise":   {misnamed, "!platform: it is called"},
		"script":             {script, "!file: wrong format: it is a script"},
		"script, so":         {script + " --platform linux/amd64 --skip-check file", "file:skipped platform:not made module:not made toolchain:not made start:not made version:not made"},
		"empty":              {empty, "!file: wrong format: it is empty"},
		"setuid":             {setuid, "!file: wrong format: it is setuid"},
		"two modules":        {good + " " + build(t, "other", "-trimpath", strip+"1.0.0"), "!"},
	} {
		args := strings.Fields(tc.args)
		app := "hello"
		if i := slices.Index(args, "--app"); i >= 0 {
			app = args[i+1]
			args = slices.Delete(args, i, i+2)
		}
		newPublisher(t, app)
		before := treeOf(t, "feed")
		args = append([]string{"publish", "feed", "--json", "--dry-run"}, args...)
		if !slices.Contains(args, "--version") {
			args = append(args, "--version", "1.0.0")
		}
		if words, refused := strings.CutPrefix(tc.outcome, "!"); refused {
			code, stdout, stderr := moult(t, args...)
			if code != exitVerify && name != "two modules" || !strings.Contains(stderr, words) || !strings.Contains(stderr, "\nhint: ") || document(t, stdout)["error"] == nil {
				t.Errorf("%s: exit code %d\n%s", name, code, stderr)
			}
		} else if got := outcomes(t, want(t, 0, args...)); got != tc.outcome {
			t.Errorf("%s: %q, want %q", name, got, tc.outcome)
		}
		if after := treeOf(t, "feed"); after != before {
			t.Errorf("%s: it left traces:\n%s\nbefore:\n%s", name, after, before)
		}
	}
}

// TestProgramOfABareName: it is the file that was named, and not what the search path has of that name.
func TestProgramOfABareName(t *testing.T) {
	good := build(t, "hello", "-trimpath", strip+"1.0.0")
	newPublisher(t, "hello")
	if err := copyProgram("hello-1.0.0", good); err != nil {
		t.Fatal(err)
	}
	if got := outcomes(t, want(t, 0, "publish", "feed", "hello-1.0.0", "--version", "1.0.0", "--json")); got != "" {
		t.Errorf("checks: %s", got)
	}
}

// TestModuleOfTheReleaseBefore: a program whose module changed would be refused by every server that runs the one before.
func TestModuleOfTheReleaseBefore(t *testing.T) {
	good, other := build(t, "hello", "-trimpath", strip+"1.0.0"), build(t, "other", "-trimpath", strip+"1.0.0")
	newPublisher(t, "hello")
	want(t, 0, "publish", "feed", good, "--version", "1.0.0")
	before := treeOf(t, "feed")
	if code, _, stderr := moult(t, "publish", "feed", other, "--version", "1.1.0"); code != exitVerify || !strings.Contains(stderr, "example.com/other, that of 1.0.0 was example.com/hello") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if treeOf(t, "feed") != before {
		t.Error("it left traces")
	}
	want(t, 0, "publish", "feed", other, "--version", "1.1.0", "--skip-check", "module")
}

// TestPlatformLeftOut: a release that forgets a platform says so.
func TestPlatformLeftOut(t *testing.T) {
	dist := distCopy(t, "hello")
	newPublisher(t, "hello")
	want(t, 0, "publish", dist, "--skip-check", "module")
	only := filepath.Join(dist, "server_linux_arm_7", "hello")
	code, _, stderr := moult(t, "publish", "feed", only, "--version", "1.5.0", "--platform", "linux/arm/v7", "--skip-check", "module")
	if code != 0 || strings.Count(stderr, "check complete: nothing for") != 8 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// TestVCS: a checkout with changes that nobody committed.
func TestVCS(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not here")
	}
	good := build(t, "hello", "-trimpath", strip+"1.0.0")
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com", "-C", builds.dir}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	git("init", "-q")
	git("add", "hello", "go.mod", "role")
	git("commit", "-qm", "first")
	if err := os.WriteFile(filepath.Join(builds.dir, "new"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	dirty := build(t, "hello", "-buildvcs=true", strip+"1.0.0")
	newPublisher(t, "hello")
	if got := outcomes(t, want(t, 0, "publish", "feed", dirty, "--version", "1.0.0", "--json")); got != "vcs:warning" {
		t.Errorf("%q of %s and %s", got, dirty, good)
	}
}
