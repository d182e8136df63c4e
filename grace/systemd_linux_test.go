package grace_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A userManager is a real systemd, of a user, in a mount namespace and a control group of its own: /run and /opt are empty there, and the
// test binary is /opt/hello/hello.
type userManager struct {
	t    *testing.T
	base string // its home directory
	slow int    // requests in flight
	root string // the root directory as it sees it
}

// enterNamespace is the shell's part: what systemd expects to find on a booted machine.
const enterNamespace = `set -e
for h in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
	[ ! -e $h/cgroup.procs ] || { mkdir $h/$GROUP; echo $$ >$h/$GROUP/cgroup.procs; }
done
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /opt
mkdir -p /run/manager /run/systemd/system /run/systemd/inaccessible/dir /opt/hello
cd /run/systemd/inaccessible
: >reg; chmod 0 reg dir
mkfifo -m 0 fifo
mknod -m 0 chr c 0 0
mknod -m 0 blk b 0 0
cp "$PROGRAM" /opt/hello/hello
exec "$SYSTEMD" --user --log-target=console --unit=basic.target`

func startUserManager(t *testing.T) *userManager {
	t.Helper()
	systemd := "/usr/lib/systemd/systemd"
	if _, err := os.Stat(systemd); err != nil {
		t.Skip("needs systemd:", err)
	}
	if _, err := exec.LookPath("systemctl"); err != nil {
		t.Skip("needs systemctl:", err)
	}
	if os.Getuid() != 0 {
		t.Skip("needs root, for a mount namespace")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m := &userManager{t: t, base: t.TempDir()}
	logFile, err := os.Create(filepath.Join(m.base, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer logFile.Close()
	cmd := exec.Command("/bin/sh", "-c", enterNamespace)
	group := fmt.Sprintf("moult-test-%d-%d", os.Getpid(), time.Now().UnixNano())
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + m.base, "XDG_RUNTIME_DIR=/run/manager", "PROGRAM=" + exe, "SYSTEMD=" + systemd, "GROUP=" + group}
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Skip("needs a mount namespace:", err)
	}
	m.root = fmt.Sprintf("/proc/%d/root", cmd.Process.Pid)
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the service:\n%s", m.file("log"))
			b, _ := os.ReadFile(filepath.Join(m.base, "log"))
			t.Logf("log of systemd:\n%s", b)
		}
		m.try("kill", "--signal=KILL", "hello")
		m.try("exit")
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Error("systemd does not end")
			cmd.Process.Kill()
			<-ended
		}
		eventually(t, "the control groups empty", func() bool { return removeGroups("/sys/fs/cgroup", group) })
	})
	eventually(t, "systemd running", func() bool {
		select {
		case <-ended:
			b, _ := os.ReadFile(filepath.Join(m.base, "log"))
			t.Skipf("needs a systemd that runs here (control groups?): %s", b)
		default:
		}
		_, err := m.try("is-active", "basic.target")
		return err == nil
	})
	return m
}

// removeGroups takes away the control groups of a systemd that has ended, innermost first, as soon as their processes are gone.
func removeGroups(mount, group string) bool {
	var paths []string
	for _, hierarchy := range []string{"", "systemd", "unified"} {
		filepath.WalkDir(filepath.Join(mount, hierarchy, group), func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				paths = append(paths, path)
			}
			return nil
		})
	}
	gone := true
	for _, path := range slices.Backward(paths) {
		gone = os.Remove(path) == nil && gone
	}
	return gone
}

func (m *userManager) try(args ...string) (string, error) {
	cmd := exec.Command("systemctl", append([]string{"--user", "--no-pager"}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "XDG_RUNTIME_DIR=" + filepath.Join(m.root, "run/manager")}
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

func (m *userManager) systemctl(args ...string) string {
	m.t.Helper()
	out, err := m.try(args...)
	if err != nil {
		m.t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// show is a property of the service.
func (m *userManager) show(property string) string {
	m.t.Helper()
	return m.systemctl("show", "-P", property, "hello")
}

func (m *userManager) mainPID() int {
	m.t.Helper()
	pid, err := strconv.Atoi(m.show("MainPID"))
	if err != nil {
		m.t.Fatal(err)
	}
	return pid
}

// file reads one below /opt/hello, where the service runs.
func (m *userManager) file(name string) string {
	b, _ := os.ReadFile(filepath.Join(m.root, "opt/hello", name))
	return string(b)
}

func (m *userManager) write(name, content string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.root, "opt/hello", name), []byte(content), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// start runs a unit file with the lines that make the test binary the program of that name, and more, and returns its address.
func (m *userManager) start(unit, program string, more ...string) (addr string) {
	m.t.Helper()
	dir := filepath.Join(m.base, ".config/systemd/user")
	lines := append([]string{"[Service]", "User=", "WorkingDirectory=/opt/hello", "StandardOutput=append:/opt/hello/log",
		"StandardError=inherit", "Environment=GRACE_TEST_PROGRAM=" + program}, more...)
	err := os.MkdirAll(filepath.Join(dir, "hello.service.d"), 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "hello.service"), []byte(unit), 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "hello.service.d/test.conf"), []byte(strings.Join(lines, "\n")+"\n"), 0o600)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.systemctl("daemon-reload")
	m.systemctl("start", "hello")
	eventually(m.t, "the address", func() bool { addr = m.file("addr"); return addr != "" })
	return addr
}

// settled waits until the unit runs, with the process as its main one that answers.
func (m *userManager) settled(addr string) int {
	m.t.Helper()
	var pid int
	eventually(m.t, "the unit running, its main process answering", func() bool {
		pid = m.mainPID()
		return m.show("ActiveState")+" "+m.show("SubState") == "active running" && pid == pidOf(m.t, addr)
	})
	return pid
}

// upgrade sends a HUP and waits until the unit has followed.
func (m *userManager) upgrade(addr string, hup func(pid int)) (pid int) {
	m.t.Helper()
	old := m.settled(addr)
	hangUp(old)
	eventually(m.t, "another main process", func() bool { pid = m.mainPID(); return pid != old })
	return m.settled(addr)
}

func hangUp(pid int) { syscall.Kill(pid, syscall.SIGHUP) }

// plainUnit has only what grace needs, and the manager's defaults.
const plainUnit = `[Service]
Type=notify
ExecStart=/opt/hello/hello
ExecReload=kill -HUP $MAINPID
`

func shippedUnit(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../release/packaging/hello.service")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPromiseG14: under a real systemd, 50 of 50 upgrades by HUP, without a restart, and the main process follows each time. A
// successor that is killed while its predecessor drains costs no second of service; a stop during probation is a clean one, and no
// verdict. The control, which moves no MAINPID, ends with its first upgrade.
func TestPromiseG14(t *testing.T) {
	t.Run("upgrades", func(t *testing.T) {
		t.Parallel()
		m := startUserManager(t)
		addr := m.start(plainUnit, "supervised", "Environment=GRACE_TEST_PROBATION=100ms")
		n := promised(50)
		for i := range n {
			m.upgrade(addr, hangUp)
			if got, want := m.show("StatusText"), fmt.Sprintf("generation %d serves", i+2); !strings.HasPrefix(got, want) {
				t.Errorf("status %q, want %q", got, want)
			}
		}
		restarts := m.show("NRestarts")
		t.Logf("%d of %d upgrades, %s restarts", n, n, restarts)
		if restarts != "0" {
			t.Errorf("%s restarts", restarts)
		}
	})
	t.Run("successor killed", func(t *testing.T) {
		t.Parallel()
		m := startUserManager(t)
		addr := m.start(plainUnit, "supervised", "NotifyAccess=all", "Environment=GRACE_TEST_PROBATION=100ms GRACE_TEST_DRAIN=20s")
		old := m.settled(addr)
		slow := m.slowRequest(addr, 6) // keeps the predecessor draining
		hangUp(old)
		eventually(t, "another main process", func() bool { return m.mainPID() != old })
		heir := m.settled(addr)
		syscall.Kill(heir, syscall.SIGKILL)
		killed := time.Now()
		for _, err := get(addr, "/hello"); err != nil; _, err = get(addr, "/hello") {
		}
		gap := time.Since(killed)
		t.Logf("served on after %s", gap)
		if gap > time.Second {
			t.Errorf("served on after %s", gap)
		}
		if err := <-slow; err != nil {
			t.Errorf("the request in flight: %v", err)
		}
		eventually(t, "a new successor", func() bool { pid := m.mainPID(); return pid != heir && pid != old })
		m.settled(addr)
		m.upgrade(addr, hangUp) // the manager hears what comes after
		if n := m.show("NRestarts"); n != "0" {
			t.Errorf("%s restarts", n)
		}
	})
	t.Run("stop during probation", func(t *testing.T) {
		t.Parallel()
		m := startUserManager(t)
		addr := m.start(plainUnit, "supervised", "Environment=GRACE_TEST_PROBATION=60s")
		hangUp(m.settled(addr))
		eventually(t, "probation", func() bool { return strings.Contains(m.file("log"), "standing by") })
		m.systemctl("stop", "hello")
		if state, result := m.show("ActiveState"), m.show("Result"); state != "inactive" || result != "success" {
			t.Errorf("the unit is %s, result %s", state, result)
		}
		if log := m.file("log"); !strings.Contains(log, "stopped: a stop was asked for during probation") || strings.Contains(log, "undone") {
			t.Error("no clean stop")
		}
	})
	t.Run("control", func(t *testing.T) {
		t.Parallel()
		m := startUserManager(t)
		addr := m.start(plainUnit, "supervised", "Environment=GRACE_TEST_PROBATION=100ms GRACE_TEST_HIDE_MANAGER=1")
		hangUp(m.settled(addr))
		eventually(t, "the unit's end", func() bool { return m.show("ActiveState") != "active" })
		eventually(t, "the end of all", func() bool { _, err := get(addr, "/hello"); return err != nil })
		t.Logf("without MAINPID the unit is %s after the first upgrade", m.show("ActiveState"))
	})
}

// slowRequest asks the process that serves now for an answer that takes seconds.
func (m *userManager) slowRequest(addr string, seconds int) <-chan error {
	m.t.Helper()
	answer := make(chan error, 1)
	m.slow++
	go func() {
		_, err := get(addr, fmt.Sprintf("/hello?sleep=%d", seconds))
		answer <- err
	}()
	eventually(m.t, "the slow request in flight", func() bool { return established(m.t, addr) >= m.slow })
	return answer
}

// TestShippedUnit: the unit file of docs/howto/systemd.md works, hardened as it is: reloads, a reload that is undone, and a watchdog that
// finds a process that hangs.
func TestShippedUnit(t *testing.T) {
	t.Parallel()
	m := startUserManager(t)
	addr := m.start(shippedUnit(t), "supervised", "WatchdogSec=3", "Environment=GRACE_TEST_PROBATION=2s")
	for range 2 {
		m.upgrade(addr, func(int) { m.systemctl("reload", "hello") })
	}
	pid := m.settled(addr)
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for _, line := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "Umask:\t0077"} {
		if !strings.Contains(string(status), line+"\n") {
			t.Errorf("generation 3 has no %q", line)
		}
	}

	m.write("behaviour", "panic=1s") // within the probation, and long enough for a look at the unit before
	hangUp(pid)
	eventually(t, "the reload", func() bool { return m.show("ActiveState") == "reloading" })
	eventually(t, "the rollback", func() bool { return strings.Contains(m.file("log"), "handover undone") })
	if after := m.settled(addr); after != pid {
		t.Errorf("the main process is %d after a rollback, want %d", after, pid)
	}
	pinged := func() (at int64) { // in µs
		fmt.Sscan(m.show("WatchdogTimestampMonotonic"), &at)
		return at
	}
	began := pinged()
	eventually(t, "pings for twice the watchdog's interval", func() bool { return began > 0 && pinged() >= began+(6*time.Second).Microseconds() })
	if n := m.show("NRestarts"); n != "0" {
		t.Errorf("%s restarts", n)
	}

	m.write("health hangs", "")
	eventually(t, "the watchdog", func() bool { return m.show("NRestarts") == "1" })
}

// TestStopUnderSystemd: a stop cuts no request short, though it takes longer than TimeoutStopSec: not of a first generation, not of one
// that was started by another, not of predecessors that drain. The control has no ExecStop: after a handover the main process is no child of
// systemd, which does not wait for it then.
func TestStopUnderSystemd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name          string
		before, after int // handovers before and after the request began
		line          string
		cut           bool
	}{
		{"first generation", 0, 0, "", false},
		{"second generation", 1, 0, "", false},
		{"draining", 0, 1, "", false},
		{"two draining", 0, 2, "", false},
		{"all told", 0, 2, "KillMode=control-group", false},
		{"control", 1, 0, "ExecStop=", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := startUserManager(t)
			addr := m.start(shippedUnit(t), "supervised", "TimeoutStopSec=2", c.line, "Environment=GRACE_TEST_PROBATION=100ms")
			for range c.before {
				old := m.settled(addr)
				m.upgrade(addr, hangUp)
				eventually(t, "the predecessor gone", func() bool { return !alive(old) })
			}
			pid := m.settled(addr)
			slow := m.slowRequest(addr, 6)
			for range c.after {
				hangUp(pid)
				old := pid
				eventually(t, "another main process", func() bool { pid = m.mainPID(); return pid != old })
			}
			m.systemctl("stop", "hello")
			if err := <-slow; (err != nil) != c.cut {
				t.Errorf("the request in flight: %v", err)
			}
			if result := m.show("Result"); !c.cut && result != "success" {
				t.Errorf("result %s", result)
			}
		})
	}
}

// TestUnitFileInTheDocs: the page shows the very file that is tested.
func TestUnitFileInTheDocs(t *testing.T) {
	page, err := os.ReadFile("../docs/howto/systemd.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```ini\n"+shippedUnit(t)+"```\n") {
		t.Error("docs/howto/systemd.md does not show release/packaging/hello.service")
	}
}
