package packaging_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/cmd/command"
	"github.com/moult-go/moult/cmd/reference"
	"github.com/moult-go/moult/server"
)

// nfpm finds the program: the one that MOULT_TEST_NFPM names, or that is on PATH. To build it takes a minute and a hundred modules, so nobody's
// test does so by the way:
//
//	GOBIN=/tmp/bin go install github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
func nfpm(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("MOULT_TEST_NFPM"); path != "" {
		return path
	}
	return look(t, "nfpm")
}

// pack makes a package of one version in dir, with all that the recipe wants, and returns its path.
func pack(t *testing.T, dir, packager, version string) string {
	t.Helper()
	nfpm := nfpm(t)
	dist := filepath.Join(dir, "dist-"+version)
	copyFile(t, program(t, "packaged-"+version), filepath.Join(dist, "hello"), 0o755)
	for shell, file := range map[string]string{"bash": "hello.bash", "zsh": "_hello", "fish": "hello.fish"} {
		out, err := exec.Command(filepath.Join(dist, "hello"), "completion", shell).Output()
		if err != nil || len(out) == 0 {
			t.Fatalf("completion %s: %v", shell, err)
		}
		write(t, filepath.Join(dist, file), string(out), 0o644)
	}
	pages, err := reference.Man(command.Root(server.Service{Name: "hello", Handler: http.NotFoundHandler()}), time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	for name, page := range pages {
		write(t, filepath.Join(dist, "man", name), string(page), 0o644)
	}
	cmd := exec.Command(nfpm, "package", "--packager", packager, "--target", dir+"/")
	cmd.Env = append(os.Environ(), "VERSION="+version, "ARCH="+runtime.GOARCH, "DIST="+dist)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nfpm: %v\n%s", err, out)
	}
	made, err := filepath.Glob(filepath.Join(dir, "*"+version+"*."+packager))
	if err != nil || len(made) != 1 {
		t.Fatalf("made %v, %v", made, err)
	}
	return made[0]
}

// TestDeb: the package has what it should have, with the right modes and owners, and its configuration is one that stays.
func TestDeb(t *testing.T) {
	look(t, "dpkg-deb")
	deb := pack(t, t.TempDir(), "deb", "1.0.0")
	list := run(t, "dpkg-deb", "--contents", deb)
	for _, want := range []string{
		"-rwxr-xr-x ./usr/bin/hello", "-rw-r--r-- ./usr/lib/systemd/system/hello.service", "-rw-r--r-- ./usr/lib/systemd/system/hello.service.d/10-package.conf",
		"-rw-r--r-- ./usr/lib/sysusers.d/hello.conf", "-rw-r--r-- ./etc/hello/hello.toml", "-rw-r--r-- ./usr/share/bash-completion/completions/hello",
		"-rw-r--r-- ./usr/share/zsh/vendor-completions/_hello", "-rw-r--r-- ./usr/share/man/man1/hello.1", "-rw-r--r-- ./usr/share/man/man1/hello-serve.1",
	} {
		mode, path, _ := strings.Cut(want, " ")
		found := slices.ContainsFunc(strings.Split(list, "\n"), func(line string) bool {
			w := strings.Fields(line)
			return len(w) == 6 && w[0] == mode && w[1] == "root/root" && w[5] == path
		})
		if !found {
			t.Errorf("no %s", want)
		}
	}
	control := t.TempDir()
	run(t, "dpkg-deb", "--control", deb, control)
	if b, _ := os.ReadFile(filepath.Join(control, "conffiles")); strings.TrimSpace(string(b)) != "/etc/hello/hello.toml" {
		t.Errorf("conffiles %q", b)
	}
	for _, script := range []string{"postinst", "prerm", "postrm"} {
		ours, _ := os.ReadFile(filepath.Join("package", script))
		if b, err := os.ReadFile(filepath.Join(control, script)); err != nil || !bytes.Equal(b, ours) {
			t.Errorf("%s: %v", script, err)
		}
	}
	if again := pack(t, t.TempDir(), "deb", "1.0.0"); run(t, "sha256sum", deb)[:64] != run(t, "sha256sum", again)[:64] {
		t.Error("the same input makes another package")
	}
}

// TestRPM: the same for rpm, by rpm itself where that is installed.
func TestRPM(t *testing.T) {
	made := pack(t, t.TempDir(), "rpm", "1.0.0")
	rpm := look(t, "rpm")
	list := run(t, rpm, "-qp", "--nosignature", "--queryformat", `[%{FILEMODES:perms} %{FILEFLAGS:fflags} %{FILENAMES}\n]`, made)
	for _, want := range []string{"-rwxr-xr-x  /usr/bin/hello\n", "-rw-r--r-- cn /etc/hello/hello.toml\n", "-rw-r--r--  /usr/lib/systemd/system/hello.service\n"} {
		if !strings.Contains(list, want) {
			t.Errorf("no %q in\n%s", want, list)
		}
	}
	scripts := run(t, rpm, "-qp", "--nosignature", "--scripts", made)
	for _, want := range []string{"systemctl reload hello.service", "systemctl disable --now hello.service"} {
		if !strings.Contains(scripts, want) {
			t.Errorf("no %q", want)
		}
	}
}

// rootDir is a root directory where dpkg can work, with nothing in it.
type rootDir struct {
	t    *testing.T
	path string
}

func newRoot(t *testing.T) rootDir {
	t.Helper()
	needRoot(t)
	look(t, "dpkg")
	r := rootDir{t, t.TempDir()}
	for _, name := range []string{"info/format", "updates/.keep", "status", "available"} {
		write(t, filepath.Join(r.path, "var/lib/dpkg", name), map[string]string{"info/format": "1\n"}[name], 0o644)
	}
	if err := os.Remove(filepath.Join(r.path, "var/lib/dpkg/updates/.keep")); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r rootDir) dpkg(args ...string) string {
	r.t.Helper()
	return run(r.t, "dpkg", append([]string{"--root=" + r.path, "--force-script-chrootless", "--force-depends", "--log=/dev/null"}, args...)...)
}

func (r rootDir) exists(name string) bool {
	_, err := os.Lstat(filepath.Join(r.path, name))
	return err == nil
}

// TestDpkg installs the package, upgrades it and takes it away, for real, in a root directory of the test's own. Nothing there updates
// itself, and says what to type.
func TestDpkg(t *testing.T) {
	r := newRoot(t)
	dir := t.TempDir()
	r.dpkg("--install", pack(t, dir, "deb", "1.0.0"))
	hello := filepath.Join(r.path, "usr/bin/hello")
	if out := run(t, hello, "version"); !strings.HasPrefix(out, "hello 1.0.0 ") {
		t.Errorf("version: %s", out)
	}
	if out := run(t, hello, "config", "check", filepath.Join(r.path, "etc/hello/hello.toml"), "--dir", filepath.Join(r.path, "usr/share/hello")); !strings.Contains(out, "is good") {
		t.Errorf("the packaged configuration: %s", out)
	}
	out, err := exec.Command(hello, "upgrade", "--yes").CombinedOutput()
	if code := err.(*exec.ExitError).ExitCode(); code != 3 || !strings.Contains(string(out), packaged) {
		t.Errorf("upgrade ends with %d: %s", code, out)
	}
	conf := filepath.Join(r.path, "etc/hello/hello.toml")
	write(t, conf, "listen = [\"localhost:8081\"]\n", 0o644)
	r.dpkg("--install", pack(t, dir, "deb", "1.1.0"))
	if out := run(t, hello, "version"); !strings.HasPrefix(out, "hello 1.1.0 ") {
		t.Errorf("version after the upgrade: %s", out)
	}
	if b, _ := os.ReadFile(conf); !strings.Contains(string(b), "8081") {
		t.Errorf("the configuration was replaced: %s", b)
	}
	r.dpkg("--remove", "hello")
	if r.exists("usr/bin/hello") || !r.exists("etc/hello/hello.toml") {
		t.Error("a removal took the configuration, or left the program")
	}
	write(t, filepath.Join(r.path, "var/lib/hello/instances/x"), "", 0o600)
	r.dpkg("--purge", "hello")
	if r.exists("etc/hello/hello.toml") || r.exists("var/lib/hello") {
		t.Error("a purge left something")
	}
}

// TestScripts: what each script does, as deb and rpm call it, with and without a system that runs.
func TestScripts(t *testing.T) {
	needRoot(t)
	for _, tt := range []struct {
		script, arg    string
		booted, active bool
		want           string
	}{
		{"postinst", "configure", true, true, "systemd-sysusers hello.conf; systemctl daemon-reload; systemctl is-active --quiet hello.service; systemctl reload hello.service"},
		{"postinst", "2", true, true, "systemd-sysusers hello.conf; systemctl daemon-reload; systemctl is-active --quiet hello.service; systemctl reload hello.service"},
		{"postinst", "1", true, false, "systemd-sysusers hello.conf; systemctl daemon-reload; systemctl is-active --quiet hello.service"},
		{"postinst", "abort-upgrade", true, true, ""},
		{"postinst", "configure", false, true, ""},
		{"prerm", "upgrade", true, true, ""},
		{"prerm", "1", true, true, ""},
		{"prerm", "remove", true, true, "systemctl disable --now hello.service"},
		{"prerm", "0", true, true, "systemctl disable --now hello.service"},
		{"prerm", "remove", false, true, ""},
		{"postrm", "remove", true, false, "systemctl daemon-reload"},
	} {
		t.Run(fmt.Sprintf("%s %s %v %v", tt.script, tt.arg, tt.booted, tt.active), func(t *testing.T) {
			dir := t.TempDir()
			active := "exit 0"
			if !tt.active {
				active = "exit 3"
			}
			for _, name := range []string{"systemctl", "systemd-sysusers"} {
				write(t, filepath.Join(dir, name), "#!/bin/sh\necho \""+name+" $*\" >>"+dir+"/calls\ncase $1 in is-active) "+active+";; esac\n", 0o755)
			}
			boot := ":"
			if tt.booted {
				boot = "mkdir -p /run/systemd/system"
			}
			cmd := exec.Command("unshare", "--mount", "/bin/sh", "-ec", "mount -t tmpfs tmpfs /run; "+boot+"; exec /bin/sh package/"+tt.script+" "+tt.arg)
			cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "DPKG_ROOT="}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v %s", err, out)
			}
			b, _ := os.ReadFile(filepath.Join(dir, "calls"))
			if got := strings.ReplaceAll(strings.TrimSpace(string(b)), "\n", "; "); got != tt.want {
				t.Errorf("calls %q, want %q", got, tt.want)
			}
		})
	}
}

// TestPackageUpgradeUnderSystemd: a package's new version takes over from the one that serves, by the package's own script, and no client notices.
func TestPackageUpgradeUnderSystemd(t *testing.T) {
	look(t, "dpkg")
	dir := t.TempDir()
	first, second := pack(t, dir, "deb", "1.0.0"), pack(t, dir, "deb", "1.1.0")
	m := startManager(t)
	m.exe, m.env = "/opt/root/usr/bin/hello", []string{"HELLO_STATE_DIR=/opt/state"}
	for _, name := range []string{"/opt/state", "/opt/root/var/lib/dpkg/updates", "/opt/root/var/lib/dpkg/info"} {
		if err := os.MkdirAll(m.root(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"status", "available"} {
		write(t, m.root("/opt/root/var/lib/dpkg/"+name), "", 0o644)
	}
	r := rootDir{t, m.root("/opt/root")}
	r.dpkg("--install", first)
	conf, err := os.ReadFile("package/service.conf")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.NewReplacer("/usr/bin/hello", "/opt/root/usr/bin/hello", "/etc/hello/", "/opt/root/etc/hello/").Replace(string(conf))
	m.start(lines, "ReadWritePaths=/opt/state", "Environment=HELLO_STATE_DIR=/opt/state HELLO_DIR=/opt/root/usr/share/hello HELLO_WATCH= HELLO_MINISIGN_KEY=")
	m.serves("1.0.0")

	stop, lost := make(chan struct{}), make(chan error, 1)
	go func() { // ends with stop
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		for {
			resp, err := client.Get("http://" + m.addr + "/")
			if err == nil {
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					err = fmt.Errorf("it answers %s", resp.Status)
				}
			}
			select {
			case <-stop:
				lost <- err
				return
			default:
			}
			if err != nil {
				lost <- err
				return
			}
		}
	}()
	r.dpkg("--install", second)
	for name, script := range map[string]string{"systemctl": `exec /usr/bin/env PATH=/usr/bin:/bin systemctl --user "$@"`, "systemd-sysusers": "exit 0"} {
		write(t, m.root("/opt/bin/"+name), "#!/bin/sh\n"+script+"\n", 0o755)
	}
	copyFile(t, "package/postinst", m.root("/opt/bin/postinst"), 0o755)
	if out, err := m.inside("/usr/bin/env", "PATH=/opt/bin:/usr/bin:/bin", "/opt/bin/postinst", "configure", "1.0.0"); err != nil || out != "" {
		t.Errorf("postinst: %v %s", err, out)
	}
	m.serves("1.1.0")
	close(stop)
	if err := <-lost; err != nil {
		t.Errorf("a request was lost: %v", err)
	}
	if n := m.show("NRestarts"); n != "0" {
		t.Errorf("%s restarts", n)
	}
	found, code := m.findings()
	if code != 0 || found["owner"].Severity != "ok" || !strings.Contains(found["owner"].Found, packaged) {
		t.Errorf("doctor ends with %d: %+v", code, found)
	}
}
