//go:build unix

package owner

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// A real package, built and installed by a real dpkg with a database of its own.
func TestDpkg(t *testing.T) {
	for _, program := range []string{"dpkg", "dpkg-deb", "dpkg-query"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("apt-get install dpkg: ", err)
		}
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	installed := filepath.Join(dir, "opt", "he[l]lo*", `he\llo`) // dpkg takes names for patterns
	tree, db := filepath.Join(dir, "tree"), filepath.Join(dir, "db")
	write(t, filepath.Join(tree, "DEBIAN", "control"), "Package: hello-moult\nVersion: 1.0.0\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\nDescription: a test\n", 0o644)
	write(t, filepath.Join(tree, installed), "#!/bin/sh\n", 0o755)
	for _, d := range []string{"info", "updates", "triggers"} {
		if err := os.MkdirAll(filepath.Join(db, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(db, "status"), "", 0o644)
	deb := filepath.Join(dir, "hello.deb")
	for _, args := range [][]string{
		{"dpkg-deb", "--root-owner-group", "--build", tree, deb},
		{"dpkg", "--admindir=" + db, "--instdir=/", "--log=" + filepath.Join(dir, "log"), "--force-not-root,bad-path", "--install", deb},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	t.Setenv("DPKG_ADMINDIR", db)
	p, err := Find(t.Context(), installed)
	if err != nil || p == nil || *p != (Package{"dpkg", "hello-moult", "apt-get install --only-upgrade hello-moult"}) {
		t.Errorf("%+v, %v", p, err)
	}
	write(t, installed+"2", "", 0o755)
	if p, err := Find(t.Context(), installed+"2"); p != nil || err != nil {
		t.Errorf("a file of nobody: %+v, %v", p, err)
	}
	// What dpkg knows by the name before /bin became a link to /usr/bin.
	write(t, filepath.Join(db, "info", "hello-moult.list"), "/.\n/bin\n/bin/sh\n", 0o644)
	sh, err := filepath.EvalSymlinks("/bin/sh")
	if link, _ := os.Readlink("/bin"); err == nil && link == "usr/bin" {
		name := filepath.Base(sh)
		write(t, filepath.Join(db, "info", "hello-moult.list"), "/.\n/bin\n/bin/"+name+"\n", 0o644)
		if p, err := Find(t.Context(), sh); err != nil || p == nil || p.Name != "hello-moult" {
			t.Errorf("%s, which dpkg knows as /bin/%s: %+v, %v", sh, name, p, err)
		}
	}
}

// fake puts programs on PATH, alone there, that say what the real ones were seen to say.
func fake(t *testing.T, programs map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, script := range programs {
		write(t, filepath.Join(dir, name), "#!/bin/sh\n"+script, 0o755)
	}
	t.Setenv("PATH", dir)
}

func TestDatabases(t *testing.T) {
	const path = "/usr/bin/hello"
	for _, tc := range []struct {
		name     string
		programs map[string]string
		manager  string
		pkg      string
		upgrade  string
		err      string
	}{
		{"nothing installed", nil, "", "", "", ""},
		{"dpkg", map[string]string{"dpkg-query": `test "$*" = "--search /usr/bin/hello" && echo "hello: /usr/bin/hello"`},
			"dpkg", "hello", "apt-get install --only-upgrade hello", ""},
		{"dpkg, several architectures", map[string]string{"dpkg-query": `echo "hello:amd64, hello-more:i386: /usr/bin/hello"`},
			"dpkg", "hello", "apt-get install --only-upgrade hello", ""},
		{"dpkg, diverted", map[string]string{"dpkg-query": "echo 'diversion by more from: /usr/bin/hello'\necho 'diversion by more to: /usr/bin/hello.real'\necho 'hello: /usr/bin/hello'"},
			"dpkg", "hello", "apt-get install --only-upgrade hello", ""},
		{"dpkg, one of two names", map[string]string{"dpkg-query": "echo 'dpkg-query: no path found matching pattern /bin/hello' >&2\necho 'hello: /usr/bin/hello'\nexit 1"},
			"dpkg", "hello", "apt-get install --only-upgrade hello", ""},
		{"dpkg, nobody", map[string]string{"dpkg-query": "echo 'dpkg-query: no path found matching pattern /usr/bin/hello' >&2\nexit 1"}, "", "", "", ""},
		{"dpkg, broken", map[string]string{"dpkg-query": "echo \"dpkg-query: error: failed to open package info file '/var/lib/dpkg/status'\" >&2\nexit 2"},
			"", "", "", "failed to open"},
		{"rpm", map[string]string{"rpm": `test "$*" = "--query --queryformat %{NAME}\n --file /usr/bin/hello" && echo hello`, "yum": ""},
			"rpm", "hello", "yum update hello", ""},
		{"rpm, nobody", map[string]string{"rpm": "echo 'file /usr/bin/hello is not owned by any package'\nexit 1"}, "", "", "", ""},
		{"rpm, locked", map[string]string{"rpm": "echo 'error: cannot open Packages database in /var/lib/rpm' >&2\necho 'error'\nexit 1"}, "", "", "", "cannot open"},
		{"apk", map[string]string{"apk": `echo "/usr/bin/hello is owned by hello-world2-1.36.1_rc2-r2"`}, "apk", "hello-world2", "apk add --upgrade hello-world2", ""},
		{"apk, nobody", map[string]string{"apk": "echo 'ERROR: /usr/bin/hello: Could not find owner package' >&2\nexit 1"}, "", "", "", ""},
		{"pacman", map[string]string{"pacman": `test "$*" = "--query --owns --quiet /usr/bin/hello" && echo hello`}, "pacman", "hello", "pacman -Syu", ""},
		{"pacman, nobody", map[string]string{"pacman": "echo 'error: No package owns /usr/bin/hello' >&2\nexit 1"}, "", "", "", ""},
		{"the second of two", map[string]string{"dpkg-query": "echo 'no path found matching pattern' >&2\nexit 1", "rpm": "echo hello", "dnf": ""},
			"rpm", "hello", "dnf upgrade hello", ""},
		{"one is broken, the other knows", map[string]string{"dpkg-query": "exit 2", "rpm": "echo hello"}, "rpm", "hello", "dnf upgrade hello", ""},
		{"a name to beware of", map[string]string{"rpm": "echo 'x;reboot'"}, "", "", "", "cannot be read"},
		{"no end", map[string]string{"rpm": "i=0; while test $i -lt 3000; do echo 'too much too much'; i=$((i+1)); done"}, "", "", "", "cannot be read"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fake(t, tc.programs)
			p, err := Find(t.Context(), path)
			if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Fatalf("error %v, want %q", err, tc.err)
			}
			var want *Package
			if tc.pkg != "" {
				want = &Package{tc.manager, tc.pkg, tc.upgrade}
			}
			if (p == nil) != (want == nil) || p != nil && *p != *want {
				t.Errorf("%+v, want %+v", p, want)
			}
		})
	}
}

// What hangs is ended, with whatever keeps its pipe open, and what runs gets none of our secrets.
func TestBounds(t *testing.T) {
	fake(t, map[string]string{"rpm": "/bin/sleep 2 &\nexec /bin/sleep 60"})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := Find(ctx, "/usr/bin/hello"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("it took %v", d)
	}
	t.Setenv("SECRET", "x")
	fake(t, map[string]string{"rpm": `test -z "$SECRET" && test "$LC_ALL" = C && test "$(pwd)" = / && echo hello`})
	if p, err := Find(t.Context(), "/usr/bin/hello"); p == nil {
		t.Errorf("%v", err)
	}
	if _, err := Find(t.Context(), "bin/hello"); err == nil {
		t.Error("a relative path was asked for")
	}
}

func TestPlaces(t *testing.T) {
	fake(t, nil)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "Cellar", "hello", "1.0.0", "INSTALL_RECEIPT.json"), "{}", 0o644)
	write(t, filepath.Join(dir, "Caskroom", "hello-app", ".metadata", "x"), "", 0o644)
	const hash = "/nix/store/3n58xw4373jp0ljirf06d8077j15pc4j-"
	for path, want := range map[string]Package{
		dir + "/Cellar/hello/1.0.0/bin/hello":                               {"Homebrew", "hello", "brew upgrade hello"},
		dir + "/Cellar/hello/2.0.0/bin/hello":                               {}, // no receipt: somebody's own directory
		dir + "/Caskroom/hello-app/1.0.0/hello":                             {"Homebrew", "hello-app", "brew upgrade --cask hello-app"},
		hash + "hello-2.12.1/bin/hello":                                     {"Nix", "hello", "nix profile upgrade hello"},
		hash + "hello-world/bin/hello":                                      {"Nix", "hello-world", "nix profile upgrade hello-world"},
		hash + "gtk4-helper-0.9pre/bin/hello":                               {"Nix", "gtk4-helper", "nix profile upgrade gtk4-helper"},
		"/nix/store/hello":                                                  {},
		"/snap/hello/42/bin/hello":                                          {"snap", "hello", "snap refresh hello"},
		"/var/lib/snapd/snap/hello/x1/hello":                                {"snap", "hello", "snap refresh hello"},
		"/srv/snap/hello/42/hello":                                          {},
		"/var/lib/flatpak/app/org.x.Hello/x86_64/stable/3d/files/bin/hello": {"flatpak", "org.x.Hello", "flatpak update org.x.Hello"},
		"/opt/hello/hello":                                                  {},
	} {
		p, err := Find(t.Context(), path)
		if err != nil || p == nil != (want == Package{}) || p != nil && *p != want {
			t.Errorf("%s: %+v, %v, want %+v", path, p, err, want)
		}
	}
}
