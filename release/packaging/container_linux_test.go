package packaging_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// instruction is one line of a Containerfile.
type instruction struct{ name, args string }

// readContainerfile returns the instructions of the last stage, and all of them.
func readContainerfile(t *testing.T) (last, all []instruction) {
	t.Helper()
	b, err := os.ReadFile("Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, args, ok := strings.Cut(line, " ")
		if !ok || name != strings.ToUpper(name) || strings.HasSuffix(line, `\`) {
			t.Fatalf("not an instruction on one line: %q", line)
		}
		if name == "FROM" {
			last = nil
		}
		last, all = append(last, instruction{name, args}), append(all, instruction{name, args})
	}
	return last, all
}

// only is what the one instruction of that name says.
func only(t *testing.T, list []instruction, name string) string {
	t.Helper()
	i := slices.IndexFunc(list, func(in instruction) bool { return in.name == name })
	if i < 0 || slices.ContainsFunc(list[i+1:], func(in instruction) bool { return in.name == name }) {
		t.Fatalf("not one %s in %v", name, list)
	}
	return list[i].args
}

// words reads the exec form, which needs no shell.
func words(t *testing.T, args string) (list []string) {
	t.Helper()
	if i := strings.Index(args, "CMD "); i >= 0 {
		args = args[i+len("CMD "):]
	}
	if err := json.Unmarshal([]byte(args), &list); err != nil {
		t.Fatalf("%s: not the exec form: %v", args, err)
	}
	return list
}

// TestContainerfile: the image has no shell and no root, and what starts in it needs neither.
func TestContainerfile(t *testing.T) {
	last, all := readContainerfile(t)
	if from := only(t, last, "FROM"); from != "scratch" {
		t.Errorf("FROM %s", from)
	}
	if user := only(t, last, "USER"); strings.HasPrefix(user, "0") || strings.HasPrefix(user, "root") {
		t.Errorf("USER %s", user)
	}
	if slices.ContainsFunc(last, func(in instruction) bool { return in.name == "RUN" }) {
		t.Error("RUN in an image without a shell")
	}
	built := ""
	for _, in := range all {
		if in.name == "RUN" && strings.Contains(in.args, "go build") {
			built = in.args
		}
	}
	for _, want := range []string{"CGO_ENABLED=0 ", "-X main.version=${VERSION}", "-X 'main.disabled="} {
		if !strings.Contains(built, want) {
			t.Errorf("it is not built with %s", want)
		}
	}
	entry := append(words(t, only(t, last, "ENTRYPOINT")), words(t, only(t, last, "CMD"))...)
	if strings.Join(entry, " ") != "/hello serve" || strings.Join(words(t, only(t, last, "HEALTHCHECK")), " ") != "/hello healthcheck" {
		t.Errorf("it starts %v", entry)
	}
}

// TestContainerBuild builds the image's program as the Containerfile says, lays the root directory out, and runs it as a runtime would: PID 1 in a
// namespace of its own, not root, read-only. The health check comes as another process of that container; a hot restart does not end it.
func TestContainerBuild(t *testing.T) {
	needRoot(t)
	look(t, "nsenter")
	last, _ := readContainerfile(t)
	root := t.TempDir()
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, "mode=0755"); err != nil {
		t.Skip("mount: ", err)
	}
	t.Cleanup(func() { unix.Unmount(root, unix.MNT_DETACH) })
	for _, dir := range []string{"proc", only(t, last, "WORKDIR")} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	copyFile(t, program(t, "packaged-1.0.0"), filepath.Join(root, "hello"), 0o755)
	write(t, filepath.Join(root, only(t, last, "WORKDIR"), "index.html"), "it works\n", 0o644)
	if err := unix.Mount("tmpfs", root, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	addr := freeAddress(t)
	logFile, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer logFile.Close()
	script := `mount -t proc proc "$ROOT/proc"; exec chroot --userspec="$USER_SPEC" "$ROOT" /hello serve`
	cmd := exec.Command("/bin/sh", "-ec", script)
	env := "HELLO_LISTEN=" + addr
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "ROOT=" + root, "USER_SPEC=" + only(t, last, "USER"), env, "HELLO_HUP_PROBATION=500ms", "HELLO_DIR=" + only(t, last, "WORKDIR")}
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	if err := cmd.Start(); err != nil {
		t.Skip("needs namespaces: ", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill() // and with PID 1 the whole container
		if t.Failed() {
			b, _ := os.ReadFile(logFile.Name())
			t.Logf("log:\n%s", b)
		}
	})
	healthcheck := func(args ...string) (string, int) {
		user, group, _ := strings.Cut(only(t, last, "USER"), ":")
		check := exec.Command("nsenter", append([]string{"--target", fmt.Sprint(cmd.Process.Pid), "--pid", "--mount", "--root", "--wd=/", "--setuid", user, "--setgid", group},
			append(words(t, only(t, last, "HEALTHCHECK")), args...)...)...)
		check.Env = []string{env}
		out, err := check.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(out), check.ProcessState.ExitCode()
	}
	version := func() string {
		resp, err := http.Get("http://" + addr + "/")
		if err != nil {
			return ""
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return string(b)
	}
	eventually(t, "the container serving", func() bool { return version() == "it works\n" })
	if out, code := healthcheck(); code != 0 {
		t.Errorf("healthcheck: %d %s", code, out)
	}
	before := inside(t, cmd.Process.Pid)
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another process serving", func() bool {
		now := inside(t, cmd.Process.Pid)
		return len(now) == 1 && len(before) == 1 && now[0] != before[0]
	})
	if out, code := healthcheck(); code != 0 {
		t.Errorf("healthcheck after a hot restart: %d %s", code, out)
	}
	if out, code := healthcheck("--url", "http://"+addr+"/nothing"); code != 1 {
		t.Errorf("healthcheck of what is not there: %d %s", code, out)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the container ends with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the container does not end")
	}
	if out, code := healthcheckAlone(root, env); code != 1 {
		t.Errorf("healthcheck when nothing runs: %d %s", code, out)
	}
}

// healthcheckAlone asks when the container is gone.
func healthcheckAlone(root, env string) (string, int) {
	cmd := exec.Command("chroot", root, "/hello", "healthcheck")
	cmd.Env = []string{env}
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}

// inside lists the children of a container's PID 1, whichever thread started them.
func inside(t *testing.T, pid int) (list []string) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, _ := os.ReadFile(file) // a thread may have ended
		list = append(list, strings.Fields(string(b))...)
	}
	return list
}

// TestContainerfileBuilds: buildah makes an image of the file, with the user, the health check and the command of it. No network: the stage that compiles is
// replaced by its result.
func TestContainerfileBuilds(t *testing.T) {
	needRoot(t)
	buildah := look(t, "buildah")
	dir := t.TempDir()
	b, err := os.ReadFile("Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, last, ok := strings.Cut(string(b), "\nFROM scratch\n")
	if !ok {
		t.Fatal("no FROM scratch")
	}
	context := filepath.Join(dir, "context")
	write(t, filepath.Join(context, "Containerfile"), "FROM scratch AS build\nCOPY . /\n\nFROM scratch\n"+last, 0o644)
	write(t, filepath.Join(context, "etc/ssl/certs/ca-certificates.crt"), "none\n", 0o644)
	copyFile(t, program(t, "packaged-1.0.0"), filepath.Join(context, "hello"), 0o755)
	write(t, filepath.Join(dir, "policy.json"), `{"default": [{"type": "insecureAcceptAnything"}]}`, 0o644)
	write(t, filepath.Join(dir, "registries.conf"), "", 0o644)
	storage := []string{"--storage-driver", "vfs", "--root", filepath.Join(dir, "storage"), "--runroot", filepath.Join(dir, "run"), "--registries-conf", filepath.Join(dir, "registries.conf")}
	out, err := exec.Command(buildah, append(storage, "bud", "--signature-policy", filepath.Join(dir, "policy.json"), "--isolation", "chroot", "--format", "docker",
		"--file", filepath.Join(context, "Containerfile"), "--tag", "hello", context)...).CombinedOutput()
	if err != nil {
		t.Fatalf("buildah: %v\n%s", err, out)
	}
	said, err := exec.Command(buildah, append(storage, "inspect", "--type", "image", "hello")...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var image struct {
		Docker struct {
			Config struct {
				User            string
				Entrypoint, Cmd []string
				WorkingDir      string
				Healthcheck     struct{ Test []string }
			} `json:"config"`
		}
	}
	if err := json.Unmarshal(said, &image); err != nil {
		t.Fatal(err)
	}
	c := image.Docker.Config
	got := fmt.Sprintf("%s %v %v %s %v", c.User, c.Entrypoint, c.Cmd, c.WorkingDir, c.Healthcheck.Test)
	if want := "65532:65532 [/hello] [serve] /srv [CMD /hello healthcheck]"; got != want {
		t.Errorf("the image has %s, want %s", got, want)
	}
}
