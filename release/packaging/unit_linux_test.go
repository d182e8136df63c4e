package packaging_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moult-go/moult/release"
)

const unitFile = "hello.service"

// TestUnitIsSound: systemd finds nothing wrong with the unit, and calls its exposure low; the same unit without its hardening fails.
func TestUnitIsSound(t *testing.T) {
	analyze := look(t, "systemd-analyze")
	b, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	unit := strings.ReplaceAll(string(b), "/opt/hello/hello", program(t, "1.0.0")) // which must be there
	file := filepath.Join(t.TempDir(), unitFile)
	judge := func(unit string, args ...string) error {
		write(t, file, unit, 0o644)
		out, err := exec.Command(analyze, append(args, file)...).CombinedOutput()
		var ours []string // it looks at units of the host too
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, unitFile) && strings.Contains(line, ": ") && !strings.Contains(line, "Overall") {
				ours = append(ours, line)
			}
		}
		if args[0] == "verify" {
			err = nil
		}
		if len(ours) > 0 {
			err = errors.Join(err, errors.New(strings.Join(ours, "")))
		}
		return err
	}
	verify, security := []string{"verify", "--man=no"}, []string{"security", "--offline=yes", "--no-pager", "--threshold=20"}
	if err := judge(unit, verify...); err != nil {
		t.Error(err)
	}
	if err := judge(unit+"KillMod=mixed\n", verify...); err == nil {
		t.Error("a unit with a mistake passes")
	}
	if err := judge(unit, security...); err != nil {
		t.Errorf("exposure above 2.0: %v", err)
	}
	if err := judge(strings.ReplaceAll(unit, "\nCapabilityBoundingSet=\n", "\n"), security...); err == nil {
		t.Error("a unit with all rights passes")
	}
}

// manager is a real systemd, of a user, in a mount namespace and a control group of its own, where /run and /opt are empty.
type manager struct {
	t    *testing.T
	pid  int
	home string
	addr string
	exe  string   // of the service
	env  []string // of those who look at it
}

// enter is the shell's part: what systemd expects to find on a booted machine.
const enter = `set -e
for h in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
	[ ! -e $h/cgroup.procs ] || { mkdir $h/$GROUP; echo $$ >$h/$GROUP/cgroup.procs; }
done
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /opt
mkdir -p /run/manager /run/systemd/system /run/systemd/inaccessible/dir /opt/hello/www /opt/hello/drop
cd /run/systemd/inaccessible
: >reg; chmod 0 reg dir
mkfifo -m 0 fifo
mknod -m 0 chr c 0 0
mknod -m 0 blk b 0 0
exec "$SYSTEMD" --user --log-target=console --unit=basic.target`

func startManager(t *testing.T) *manager {
	t.Helper()
	needRoot(t)
	systemd := "/usr/lib/systemd/systemd"
	if _, err := os.Stat(systemd); err != nil {
		t.Skip("needs systemd: ", err)
	}
	look(t, "systemctl")
	look(t, "nsenter")
	m := &manager{t: t, home: t.TempDir(), addr: freeAddress(t), exe: "/opt/hello/hello"}
	logFile, err := os.Create(filepath.Join(m.home, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer logFile.Close()
	group := fmt.Sprintf("moult-unit-%d-%d", os.Getpid(), time.Now().UnixNano())
	cmd := exec.Command("/bin/sh", "-c", enter)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + m.home, "XDG_RUNTIME_DIR=/run/manager", "SYSTEMD=" + systemd, "GROUP=" + group}
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Skip("needs a mount namespace: ", err)
	}
	m.pid = cmd.Process.Pid
	ended := make(chan struct{})
	go func() { // ends with the manager
		cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		if t.Failed() {
			b, _ := os.ReadFile(filepath.Join(m.home, "log"))
			log, _ := os.ReadFile(m.root("/opt/hello/log"))
			t.Logf("log of the service:\n%s\nlog of systemd:\n%s", log, b)
		}
		m.systemctl("kill", "--signal=KILL", "hello")
		m.systemctl("exit")
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Error("systemd does not end")
			cmd.Process.Kill()
			<-ended
		}
		eventually(t, "the control groups empty", func() bool { return removeGroups(group) })
	})
	eventually(t, "systemd running", func() bool {
		select {
		case <-ended:
			b, _ := os.ReadFile(filepath.Join(m.home, "log"))
			t.Skipf("needs a systemd that runs here (control groups?): %s", b)
		default:
		}
		_, err := m.systemctl("is-active", "basic.target")
		return err == nil
	})
	return m
}

// removeGroups takes away the control groups of a systemd that has ended, as soon as their processes are gone.
func removeGroups(group string) bool {
	gone := true
	for _, hierarchy := range []string{"", "systemd", "unified"} {
		var dirs []string
		filepath.WalkDir(filepath.Join("/sys/fs/cgroup", hierarchy, group), func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append([]string{path}, dirs...)
			}
			return nil
		})
		for _, dir := range dirs {
			gone = os.Remove(dir) == nil && gone
		}
	}
	return gone
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// root is a path as the manager sees it.
func (m *manager) root(path string) string { return fmt.Sprintf("/proc/%d/root%s", m.pid, path) }

func (m *manager) systemctl(args ...string) (string, error) {
	cmd := exec.Command("systemctl", append([]string{"--user", "--no-pager"}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "XDG_RUNTIME_DIR=" + m.root("/run/manager")}
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (m *manager) show(property string) string {
	m.t.Helper()
	out, err := m.systemctl("show", "-P", property, "hello")
	if err != nil {
		m.t.Fatal(out, err)
	}
	return out
}

// hello runs the installed program where the service runs, with its exit code.
func (m *manager) hello(args ...string) (string, int) {
	m.t.Helper()
	out, err := m.inside(append([]string{m.exe}, args...)...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		m.t.Fatal(err)
	}
	if exit != nil {
		return out, exit.ExitCode()
	}
	return out, 0
}

// inside runs a command as the manager sees the file system.
func (m *manager) inside(args ...string) (string, error) {
	cmd := exec.Command("nsenter", append([]string{"--target", strconv.Itoa(m.pid), "--mount"}, args...)...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "XDG_RUNTIME_DIR=/run/manager"}, m.env...)
	out, err := cmd.Output()
	return string(out), err
}

// start runs the unit of this directory, with lines of the test's own. A user's manager cannot change the user.
func (m *manager) start(lines ...string) {
	m.t.Helper()
	lines = append([]string{"[Service]", "User=", "WorkingDirectory=/opt/hello/www", "StandardOutput=append:/opt/hello/log", "StandardError=inherit",
		"Environment=HELLO_LISTEN=" + m.addr + " HELLO_WATCH=/opt/hello/drop/hello HELLO_MINISIGN_KEY=/opt/hello/key.pub HELLO_PROBATION=500ms HELLO_HUP_PROBATION=500ms"}, lines...)
	dir := filepath.Join(m.home, ".config/systemd/user")
	copyFile(m.t, unitFile, filepath.Join(dir, unitFile), 0o644)
	write(m.t, filepath.Join(dir, unitFile+".d/test.conf"), strings.Join(lines, "\n")+"\n", 0o644)
	for _, args := range [][]string{{"daemon-reload"}, {"restart", "hello"}} {
		if out, err := m.systemctl(args...); err != nil {
			m.t.Fatalf("systemctl %v: %v %s", args, err, out)
		}
	}
}

// status is what the server says of itself; zero while none answers.
func (m *manager) status() (st struct {
	Version string
	PID     int
	State   string
}) {
	out, _ := m.hello("status", "--json")
	json.Unmarshal([]byte(out), &st)
	return st
}

// serves waits until a version serves alone, as the main process of the unit.
func (m *manager) serves(version string) {
	m.t.Helper()
	eventually(m.t, "version "+version+" as the main process", func() bool {
		st := m.status()
		return st.Version == version && st.State == "serving" && m.show("MainPID") == strconv.Itoa(st.PID) && m.show("SubState") == "running"
	})
}

// drop puts a signed version where the server watches.
func (m *manager) drop(version, privateKey string) {
	m.t.Helper()
	file := program(m.t, version)
	d, _, err := release.DigestFile(file)
	if err != nil {
		m.t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		m.t.Fatal(err)
	}
	defer f.Close()
	sig, err := release.SignMinisign(privateKey, "", f, release.TrustedComment{App: "hello", Version: release.MustParseVersion(version), Platform: release.Host(), SHA256: d})
	if err != nil {
		m.t.Fatal(err)
	}
	write(m.t, m.root("/opt/hello/drop/hello.minisig"), string(sig), 0o644)
	copyFile(m.t, file, m.root("/opt/hello/drop/hello"), 0o755)
}

// findings are what doctor says, by check.
func (m *manager) findings() (found map[string]finding, code int) {
	m.t.Helper()
	out, code := m.hello("doctor", "--json")
	var r struct {
		Unit     string
		Findings []finding
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		m.t.Fatalf("%v: %s", err, out)
	}
	if r.Unit != unitFile {
		m.t.Errorf("doctor finds the unit %q", r.Unit)
	}
	found = map[string]finding{}
	for _, f := range r.Findings {
		found[f.Check] = f
	}
	return found, code
}

type finding struct{ Check, Severity, Found, Mend string }

// TestUnitUpdates: under the unit as it is shipped, hardened as it is, a whole server updates itself, twice, restarts by reload, goes back, and stops; and
// doctor has nothing to say against it.
func TestUnitUpdates(t *testing.T) {
	m := startManager(t)
	public, private, err := release.GenerateMinisign("")
	if err != nil {
		t.Fatal(err)
	}
	write(t, m.root("/opt/hello/key.pub"), public, 0o644)
	copyFile(t, program(t, "1.0.0"), m.root("/opt/hello/hello"), 0o755)
	m.start()
	m.serves("1.0.0")
	for _, version := range []string{"2.0.0", "3.0.0"} {
		m.drop(version, private)
		m.serves(version)
	}
	found, code := m.findings()
	for _, f := range found {
		if f.Severity == "error" || f.Severity == "warning" && f.Check != "clock" && f.Check != "files" { // which are the machine's
			t.Errorf("doctor: %+v", f)
		}
	}
	for _, check := range []string{"replace", "seccomp", "address-families", "unit-type", "stop", "memory"} {
		if found[check].Severity != "ok" {
			t.Errorf("doctor has not looked at %s", check)
		}
	}
	if code != 0 {
		t.Errorf("doctor ends with %d", code)
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.status().PID))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"} {
		if !strings.Contains(string(b), line+"\n") {
			t.Errorf("the third version has no %q", line)
		}
	}
	before := m.status().PID
	if out, err := m.systemctl("reload", "hello"); err != nil {
		t.Error(out, err)
	}
	eventually(t, "another process", func() bool { // kill(1) does not wait for the handover
		pid := m.status().PID
		return pid != 0 && pid != before
	})
	m.serves("3.0.0")
	if out, code := m.hello("rollback", "--yes"); code != 0 {
		t.Errorf("rollback: %d %s", code, out)
	}
	m.serves("2.0.0")
	if out, code := m.hello("healthcheck"); code != 0 {
		t.Errorf("healthcheck: %d %s", code, out)
	}
	if n := m.show("NRestarts"); n != "0" {
		t.Errorf("%s restarts", n)
	}
	if out, err := m.systemctl("stop", "hello"); err != nil || m.show("Result") != "success" {
		t.Errorf("stop: %s %v, result %s", out, err, m.show("Result"))
	}
}

// TestDoctorSeesTheUnit: what is wrong with a real unit is found, by the server's own answer or from outside.
func TestDoctorSeesTheUnit(t *testing.T) {
	m := startManager(t)
	public, _, err := release.GenerateMinisign("")
	if err != nil {
		t.Fatal(err)
	}
	write(t, m.root("/opt/hello/key.pub"), public, 0o644)
	copyFile(t, program(t, "1.0.0"), m.root("/opt/hello/hello"), 0o755)
	for _, tt := range []struct {
		line, check, severity, says string
	}{
		{"Type=simple", "unit-type", "error", "Type=simple"},
		{"KillMode=process", "kill-mode", "warning", "KillMode=process"},
		{"OOMPolicy=stop", "oom-policy", "warning", "OOMPolicy=stop"},
		{"Restart=no", "restart", "warning", "Restart=no"},
		{"ExecStop=", "stop", "warning", "no ExecStop"},
		{"TimeoutStartSec=10", "start-timeout", "warning", "TimeoutStartSec is 10s"},
		{"WatchdogSec=2", "watchdog", "warning", "WatchdogSec is 2s"},
		{"NotifyAccess=main", "notify-access", "warning", "main"},
		{"SystemCallFilter=~linkat", "seccomp", "error", "linkat"},
		{"NoExecPaths=/opt/hello\nExecPaths=/opt/hello/hello", "replace", "error", "by itself"},
		{"NoExecPaths=/opt/hello/.hello.d", "replace", "error", "another mount"},
		{"ReadOnlyPaths=/opt/hello/hello", "replace", "error", "mounted there by itself"},
		{"WatchdogSec=40", "replace", "ok", ""},
	} {
		t.Run(tt.line, func(t *testing.T) {
			m.t = t
			m.start(tt.line)
			m.serves("1.0.0")
			found, code := m.findings()
			f := found[tt.check]
			if f.Severity != tt.severity || !strings.Contains(f.Found, tt.says) {
				t.Errorf("%+v, want %s with %q", f, tt.severity, tt.says)
			}
			if tt.severity != "ok" && f.Mend == "" {
				t.Error("it does not say what to do")
			}
			if want := map[string]int{"error": 1}[tt.severity]; code != want {
				t.Errorf("doctor ends with %d: %+v", code, found)
			}
		})
	}
	m.t = t
	m.start("ReadWritePaths=") // it serves, and has nowhere to write
	m.systemctl("stop", "hello")
	found, _ := m.findings()
	if f := found["hardening"]; f.Severity != "warning" || !strings.Contains(f.Mend, "ReadWritePaths=/opt/hello") {
		t.Errorf("no server runs: %+v", found)
	}
}
