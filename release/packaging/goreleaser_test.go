package packaging_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

type section = map[string]any

func readYAML(t *testing.T, file string) (v section) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, &v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return v
}

func first(v section, name string) section { return v[name].([]any)[0].(section) }

// TestGoreleaserIsTheOneThatRan: what makes our files' names is what goreleaser itself was run with for testdata/dist, whose output the feed's own
// tests import. Goreleaser needs a newer Go than we do, so it is not run here.
func TestGoreleaserIsTheOneThatRan(t *testing.T) {
	ours, ran := readYAML(t, "goreleaser.yaml"), readYAML(t, "../../testdata/dist/hello.yaml")
	build := first(ran, "builds")
	delete(build, "hooks") // which made the files small
	archive := first(ours, "archives")
	delete(archive, "ids") // there was one build
	for name, pair := range map[string][2]any{
		"project_name": {ours["project_name"], ran["project_name"]}, "version": {ours["version"], ran["version"]},
		"builds": {first(ours, "builds"), build}, "archives": {archive, first(ran, "archives")},
		"universal_binaries": {ours["universal_binaries"], ran["universal_binaries"]}, "checksum": {ours["checksum"], ran["checksum"]},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: %v, and goreleaser was run with %v", name, pair[0], pair[1])
		}
	}
}

// TestRecipesAgree: goreleaser's packages hold what nfpm's recipe says.
func TestRecipesAgree(t *testing.T) {
	ours, recipe := first(readYAML(t, "goreleaser.yaml"), "nfpms"), readYAML(t, "nfpm.yaml")
	contents := func(v section) map[string]any {
		list := map[string]any{"/usr/bin/hello": nil} // goreleaser adds it by itself
		for _, c := range v["contents"].([]any) {
			list[c.(section)["dst"].(string)] = c.(section)["type"]
		}
		return list
	}
	if a, b := contents(ours), contents(recipe); !reflect.DeepEqual(a, b) {
		t.Errorf("contents %v, and %v", a, b)
	}
	for name, script := range recipe["scripts"].(section) {
		if got := ours["scripts"].(section)[name]; got != "release/packaging/"+script.(string) {
			t.Errorf("%s: %v, and %v", name, got, script)
		}
	}
	for _, name := range []string{"section", "maintainer", "description", "homepage", "license", "umask"} {
		if ours[name] != recipe[name] {
			t.Errorf("%s: %v, and %v", name, ours[name], recipe[name])
		}
	}
}

// TestPublishesTheRightBuild: of a dist directory with both builds of the configuration, the feed takes those that update themselves.
func TestPublishesTheRightBuild(t *testing.T) {
	dir := t.TempDir()
	moult := filepath.Join(dir, "moult")
	run(t, "go", "build", "-o", moult, "../../cmd/moult")
	type extra struct {
		ID, Binary string
	}
	type artifact struct {
		Name    string `json:"name"`
		Path    string `json:"path"`
		GOOS    string `json:"goos,omitempty"`
		GOARCH  string `json:"goarch,omitempty"`
		GOAMD64 string `json:"goamd64,omitempty"`
		Type    string `json:"type"`
		Extra   extra  `json:"extra"`
	}
	list := []artifact{{Name: "metadata.json", Path: "dist/metadata.json", Type: "Metadata"}, {Name: "hello_1.0.0_linux_amd64.deb", Path: "dist/hello_1.0.0_linux_amd64.deb", Type: "Linux Package"}}
	for id, built := range map[string]string{"server": "1.0.0", "packaged": "packaged-1.0.0"} {
		path := "dist/" + id + "/hello"
		copyFile(t, program(t, built), filepath.Join(dir, path), 0o755)
		one := artifact{Name: "hello", Path: path, GOOS: runtime.GOOS, GOARCH: runtime.GOARCH, Type: "Binary", Extra: extra{id, "hello"}}
		if runtime.GOARCH == "amd64" {
			one.GOAMD64 = "v1"
		}
		list = append(list, one)
	}
	b, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "dist/artifacts.json"), string(b), 0o644)
	write(t, filepath.Join(dir, "dist/metadata.json"), `{"version": "1.0.0"}`, 0o644)
	feed := filepath.Join(dir, "feed")
	run(t, moult, "init", feed, "--app", "hello", "--plaintext-keys")
	if out, err := exec.Command(moult, "publish", feed, filepath.Join(dir, "dist")).CombinedOutput(); err == nil {
		t.Errorf("without --binary it chooses by itself: %s", out)
	}
	run(t, moult, "publish", feed, filepath.Join(dir, "dist"), "--binary", "server", "--compress=false")
	sum := run(t, "sha256sum", program(t, "1.0.0"))[:64]
	if out := run(t, moult, "show", feed, "1.0.0", "--json"); !strings.Contains(out, sum) {
		t.Errorf("the feed has not the build that updates itself, %s: %s", sum, out)
	}
}
