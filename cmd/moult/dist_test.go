package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// distCopy is a copy of a dist directory in testdata that a test may spoil.
func distCopy(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "dist")
	if err := os.CopyFS(dir, os.DirFS("../../testdata/dist/"+name)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// platforms gathers sources and returns what they are for, sorted; every program must be what its header says, and the words that were compiled
// into it those of that platform.
func platforms(t *testing.T, w wanted, sources ...string) ([]string, *bundle) {
	t.Helper()
	b, err := gather(sources, w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	var list []string
	for _, p := range b.programs {
		list = append(list, p.platform.String())
		x, err := inspect(p.path)
		if err != nil || x.platform.OS != p.platform.OS || x.platform.Arch != p.platform.Arch {
			t.Errorf("%s for %s: %v, %v", p.origin, p.platform, x.platform, err)
		}
	}
	slices.Sort(list)
	return list, b
}

const helloPlatforms = "darwin/amd64 darwin/arm64 linux/amd64 linux/amd64/v3 linux/arm/v6 linux/arm/v7 linux/arm64 windows/amd64 windows/arm64"

func TestDist(t *testing.T) {
	for _, w := range []wanted{{app: "hello"}, {app: "renamed"}, {app: "x", binary: "hello"}, {app: "x", binary: "server"}} {
		list, b := platforms(t, w, "../../testdata/dist/hello")
		if got := strings.Join(list, " "); got != helloPlatforms || b.version != "1.4.0" {
			t.Errorf("%+v: %s of version %s", w, got, b.version)
		}
		if w.binary == "" && (len(b.notes) != 1 || !strings.Contains(b.notes[0], "universal")) {
			t.Errorf("notes %q", b.notes)
		}
		for _, p := range b.programs {
			content, err := os.ReadFile(p.path)
			want := strings.NewReplacer("arm/v", "arm_", "/", "_").Replace(p.platform.String())
			if err != nil || !strings.Contains(string(content), "hello 1.4.0 "+want) {
				t.Errorf("%s: %q, %v", p.platform, content, err)
			}
		}
	}
}

// TestDistOfArchives: a build that kept no more than its archives.
func TestDistOfArchives(t *testing.T) {
	dir := distCopy(t, "hello")
	built, err := filepath.Glob(dir + "/server_*")
	if err != nil || len(built) != 9 {
		t.Fatal(built, err)
	}
	for _, d := range built {
		os.RemoveAll(d)
	}
	list, b := platforms(t, wanted{app: "hello"}, dir)
	if got := strings.Join(list, " "); got != helloPlatforms {
		t.Errorf("%s", got)
	}
	temp := b.temp
	info, err := os.Stat(temp)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("unpacked to %s: %v, %v", temp, info, err)
	}
	b.close()
	if _, err := os.Stat(temp); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", temp, err)
	}
}

func TestDistOfTwo(t *testing.T) {
	for w, want := range map[wanted]string{
		{app: "hello"}:                     "darwin/amd64 darwin/arm64 linux/amd64 linux/arm64",
		{app: "helloctl"}:                  "linux/amd64 linux/arm64",
		{app: "hello", binary: "helloctl"}: "linux/amd64 linux/arm64",
		{app: "hello", binary: "ctl"}:      "linux/amd64 linux/arm64",
	} {
		dir := distCopy(t, "two")
		list, b := platforms(t, w, dir)
		if got := strings.Join(list, " "); got != want || b.version != "1.4.1-next" {
			t.Errorf("%+v: %s of version %s", w, got, b.version)
		}
		if w.binary == "ctl" {
			continue // the id of a build, which archives do not tell
		}
		for _, sub := range []string{"server_linux_amd64_v1", "ctl_linux_amd64_v1", "universal_darwin_all"} {
			os.RemoveAll(filepath.Join(dir, sub))
		}
		if list, _ := platforms(t, w, dir); strings.Join(list, " ") != want {
			t.Errorf("%+v, from archives: %v", w, list)
		}
	}
	_, err := gather([]string{"../../testdata/dist/two"}, wanted{app: "other"})
	if !errors.Is(err, errAmbiguous) || !strings.Contains(err.Error(), "hello, helloctl") {
		t.Errorf("neither is called so: %v", err)
	}
	_, err = gather([]string{"../../testdata/dist/two"}, wanted{app: "hello", binary: "other"})
	if exitCode(err) != exitUsage || !strings.Contains(err.Error(), "hello, helloctl") {
		t.Errorf("neither is called so: %v", err)
	}
}

func TestDistRefuses(t *testing.T) {
	change := func(dir string, f func(list []map[string]any) []map[string]any) {
		t.Helper()
		path := filepath.Join(dir, "artifacts.json")
		b, err := os.ReadFile(path)
		var list []map[string]any
		if err == nil {
			err = json.Unmarshal(b, &list)
		}
		if err == nil {
			b, err = json.Marshal(f(list))
		}
		if err == nil {
			err = os.WriteFile(path, b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	first := func(key string, value any) func(list []map[string]any) []map[string]any {
		return func(list []map[string]any) []map[string]any {
			list[1][key] = value // linux/amd64
			return list
		}
	}
	archive := "hello_1.4.0_linux_amd64.tar.gz"
	for name, tc := range map[string]struct {
		spoil func(dir string)
		want  error
	}{
		"no list":          {func(dir string) { os.WriteFile(dir+"/artifacts.json", []byte("{"), 0o644) }, errFormat},
		"a list too long":  {func(dir string) { os.Truncate(dir+"/artifacts.json", maxArtifactsFile+1) }, errFormat},
		"path above":       {func(dir string) { change(dir, first("path", "dist/../../etc/passwd")) }, errFormat},
		"path elsewhere":   {func(dir string) { change(dir, first("path", "/etc/passwd")) }, errFormat},
		"another one":      {func(dir string) { change(dir, first("goarch", "arm64")) }, nil},
		"nothing is there": {func(dir string) { removeAll(dir, "server_*", "universal*", "*.tar.gz", "*.zip") }, fs.ErrNotExist},
		"changed archive": {func(dir string) {
			os.RemoveAll(dir + "/server_linux_amd64_v1")
			os.WriteFile(dir+"/"+archive, []byte("\x1f\x8b"), 0o644)
		}, errChecksum},
		"link": {func(dir string) {
			os.Remove(dir + "/server_linux_amd64_v1/hello")
			os.Symlink("/bin/true", dir+"/server_linux_amd64_v1/hello")
		}, errFormat},
		"link above": {func(dir string) {
			os.RemoveAll(dir + "/server_linux_amd64_v1")
			os.Symlink("/bin", dir+"/server_linux_amd64_v1")
			change(dir, first("path", "dist/server_linux_amd64_v1/true"))
		}, nil},
		"said to be universal": {func(dir string) {
			change(dir, func(list []map[string]any) []map[string]any {
				list[1]["goos"], list[1]["goarch"] = "darwin", "all"
				return []map[string]any{list[0], list[1]}
			})
		}, errFormat},
	} {
		dir := distCopy(t, "hello")
		tc.spoil(dir)
		b, err := gather([]string{dir}, wanted{app: "hello"})
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, %+v", name, err, b)
		}
	}
}

func removeAll(dir string, patterns ...string) {
	for _, p := range patterns {
		files, _ := filepath.Glob(dir + "/" + p)
		for _, f := range files {
			os.RemoveAll(f)
		}
	}
}

// FuzzDist: whatever artifacts.json and metadata.json say, no path leads out of the directory, and an error is of their form or of a
// file that is not there.
func FuzzDist(f *testing.F) {
	for _, name := range []string{"hello", "two"} {
		var seed [2][]byte
		for i, file := range []string{"artifacts.json", "metadata.json"} {
			b, err := os.ReadFile(filepath.Join("../../testdata/dist", name, file))
			if err != nil {
				f.Fatal(err)
			}
			seed[i] = b
		}
		f.Add(seed[0], seed[1])
	}
	f.Add([]byte(`[{"path":"dist/../../etc/passwd","type":"Binary","goos":"linux","goarch":"amd64","extra":{"Binary":"hello"}}]`), []byte(`{}`))
	f.Add([]byte(`[{"path":"a/b","type":"Archive","extra":{"Binaries":[".exe"],"Format":"zip"}},{"path":"/x","type":"Metadata"}]`), []byte(`null`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, artifacts, meta []byte) {
		for name, b := range map[string][]byte{"artifacts.json": artifacts, "metadata.json": meta} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		d := &dist{dir: dir, root: root}
		if _, err := d.load(); err != nil {
			if !errors.Is(err, errFormat) {
				t.Errorf("load: %v", err)
			}
			return
		}
		for _, name := range d.names("hello") {
			if strings.HasSuffix(name, ".exe") {
				t.Errorf("program %q", name)
			}
		}
		for _, a := range d.artifacts {
			if rel, err := d.local(a.Path); err == nil && !filepath.IsLocal(rel) || err != nil && !errors.Is(err, errFormat) {
				t.Errorf("%q lies at %q, %v", a.Path, rel, err)
			}
		}
	})
}
