package cmd_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/moult-go/moult/"

// directions says, for each package, what it must never link, directly or through others. Data travels left to right; nothing
// further right is imported by anything further left.
var directions = []struct {
	pkg   string
	never []string // path prefixes
}{
	{"release", []string{module + "updater", module + "grace", module + "server", module + "cmd", module + "release/tuf", goTUF}},
	{"release/tuf", []string{module + "updater", module + "grace", module + "server", module + "cmd"}},
	{"release/transfer", []string{module + "updater", module + "grace", module + "server", module + "cmd", module + "release/tuf", goTUF}},
	{"grace", []string{module + "release", module + "updater", module + "server", module + "cmd"}},
	{"updater", []string{module + "grace", module + "server", module + "cmd", module + "release/tuf", module + "release/transfer", module + "updater/", goTUF}},
	{"updater/feed", []string{module + "grace", module + "server", module + "cmd", module + "updater/path"}},
	{"updater/path", []string{module + "grace", module + "server", module + "cmd", module + "updater/feed", module + "release/tuf", goTUF}},
	{"updater/owner", []string{module}},
	{"release/archive", []string{module + "updater", module + "grace", module + "server", module + "cmd", module + "release/t", goTUF}},
	{"updater/assets", append([]string{module + "updater/feed", module + "updater/path", module + "updater/forge", module + "updater/dir"}, aboveSources...)},
	{"updater/file", append([]string{module + "updater/feed", module + "updater/path", module + "updater/forge", module + "updater/dir"}, aboveSources...)},
	{"updater/dir", append([]string{module + "updater/feed", module + "updater/path", module + "updater/forge"}, aboveSources...)},
	{"updater/forge", append([]string{module + "updater/feed", module + "updater/path", module + "updater/dir"}, aboveSources...)},
	{"cmd/app", []string{"github.com/spf13/cobra/doc", "github.com/cpuguy83/"}},
	{"cmd/config", []string{module + "grace", module + "cmd/command", module + "release/tuf", goTUF}},
	{"server/page", []string{module + "cmd", module + "grace", module + "release/tuf", module + "updater/", goTUF}},
	{"server", []string{module + "cmd", module + "release/tuf", module + "updater/", goTUF}},
	{"cmd/app/forwarded", standalone},
	{"cmd/app/proxy", standalone},
	{"cmd/app/accesslog", standalone},
	{"cmd/app/static", standalone},
	{"server/doctor", []string{module + "cmd", module + "release/tuf", module + "updater/", goTUF}},
}

// aboveSources is what no source but the feed links.
var aboveSources = []string{module + "grace", module + "server", module + "cmd", module + "release/tuf", goTUF}

// standalone is what the handlers of the reference server never link: they are of use to any program.
var standalone = []string{module + "grace", module + "server", module + "release", module + "updater", module + "cmd/command"}

const clientGolang = "github.com/prometheus/client_golang/prometheus"

const goTUF = "github.com/theupdateframework/go-tuf"

// allowed is what stands below both sides of the flow: how a process learns its role, and who else may replace its file.
var allowed = []string{module + "grace/role", module + "updater/owner"}

func TestImportDirections(t *testing.T) {
	for _, d := range directions {
		for _, dep := range deps(t, d.pkg) {
			for _, never := range d.never {
				if strings.HasPrefix(dep, never) && !slices.Contains(allowed, dep) {
					t.Errorf("%s links %s", d.pkg, dep)
				}
			}
		}
	}
}

// TestGraceStandsAlone: package grace is of use to others without any of our dependencies.
func TestGraceStandsAlone(t *testing.T) {
	for _, dep := range deps(t, "grace") {
		first, _, _ := strings.Cut(dep, "/")
		if strings.Contains(first, ".") && !strings.HasPrefix(dep, "golang.org/x/sys/") && dep != module+"grace" && dep != module+"grace/role" {
			t.Errorf("grace links %s", dep)
		}
	}
}

// TestOneImporter: an outside library that has one job has one importer, so that it can be replaced there.
func TestOneImporter(t *testing.T) {
	for lib, want := range map[string][]string{
		"github.com/minio/selfupdate":     {"updater"},
		"github.com/minio/minio-go/v7":    {"cmd/moult"},
		"github.com/hashicorp/go-version": {"release"},
		"aead.dev/minisign":               {"release", "cmd/moult"},
		"github.com/gofrs/flock":          {"updater", "release/tuf"},
		"github.com/fsnotify/fsnotify":    {"updater/path"},
		clientGolang:                      {"server"},
		"github.com/knadh/koanf/v2":       {"cmd/config"},
		"github.com/pelletier/go-toml/v2": {"cmd/config"},
		goTUF + "/v2/metadata":            {"release/tuf"},
	} {
		for _, pkg := range importers(t, lib) {
			if !slices.Contains(want, strings.TrimPrefix(pkg, module)) {
				t.Errorf("%s imports %s; it should be only %v", pkg, lib, want)
			}
		}
	}
}

// TestNoProfilesForStrangers: net/http/pprof puts its handlers on http.DefaultServeMux, which a program may serve to the public.
func TestNoProfilesForStrangers(t *testing.T) {
	for _, pkg := range []string{"server", "cmd/app", "cmd/command"} {
		if slices.Contains(deps(t, pkg), "net/http/pprof") {
			t.Errorf("%s links net/http/pprof", pkg)
		}
	}
}

// TestNobodyTellsTheTime: what is shipped takes the time from the clock alone. tuf.Conformance may be told another, and is for testdata/tufclient only.
func TestNobodyTellsTheTime(t *testing.T) {
	users := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(b, []byte("tuf."+"NewConformance")) {
			return err
		}
		if users++; filepath.ToSlash(path) != "../testdata/tufclient/main.go" {
			t.Errorf("%s uses it", path)
		}
		return nil
	})
	if err != nil || users == 0 {
		t.Errorf("%d users, %v", users, err)
	}
}

func deps(t *testing.T, pkg string) []string {
	t.Helper()
	return goList(t, "-deps", module+pkg)
}

func importers(t *testing.T, lib string) (list []string) {
	t.Helper()
	for _, line := range goList(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...") {
		pkg, imports, _ := strings.Cut(line, " ")
		if slices.Contains(strings.Fields(imports), lib) {
			list = append(list, pkg)
		}
	}
	if len(list) == 0 {
		t.Errorf("nobody imports %s", lib)
	}
	return list
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
