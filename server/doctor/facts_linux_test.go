package doctor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moult-go/moult/server/admin"
)

// TestReadProcess looks at this process.
func TestReadProcess(t *testing.T) {
	p, err := readProcess("/proc", os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if p.parent != os.Getppid() || p.uid != os.Geteuid() || p.rss < 1<<20 || p.threads < 2 || p.open < 3 || p.files == 0 || len(p.group) == 0 || p.name == "" {
		t.Errorf("%+v", p)
	}
	if _, err := readProcess(t.TempDir(), os.Getpid()); err == nil {
		t.Error("a process that is not there")
	}
}

// TestReadProcessInNamespace: a process that is PID 1 for itself is another one for us.
func TestReadProcessInNamespace(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	if err := cmd.Start(); err != nil {
		t.Skip("needs a pid namespace: ", err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	p, err := readProcess("/proc", cmd.Process.Pid)
	if err != nil || p.inner != 1 || p.pid != cmd.Process.Pid {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestParentStays tells a parent that stays from a predecessor that drains, in a procfs that is made up.
func TestParentStays(t *testing.T) {
	proc := t.TempDir()
	for _, p := range []struct {
		pid, parent int
		name        string
	}{{1, 0, "tini"}, {10, 1, "hello"}, {11, 10, "hello"}, {12, 11, "hello"}} {
		dir := filepath.Join(proc, fmt.Sprint(p.pid))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		status := fmt.Sprintf("Name:\t%s\nPPid:\t%d\nNSpid:\t%d\n", p.name, p.parent, p.pid)
		if err := os.WriteFile(filepath.Join(dir, "status"), []byte(status), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		draining []int
		stays    bool
	}{{nil, true}, {[]int{11}, true}, {[]int{10, 11}, false}} {
		st := &admin.Status{PID: 12}
		for _, pid := range c.draining {
			st.Draining = append(st.Draining, admin.Draining{PID: pid})
		}
		f := &facts{Options: Options{Status: st}}
		f.lookAtProcess(proc, 12)
		if f.stays != c.stays || f.above == nil || f.above.name != "tini" {
			t.Errorf("draining %v: stays %v, above %+v", c.draining, f.stays, f.above)
		}
	}
}

// TestLimitsOfVersion2 reads a hierarchy of version 2 that is made up, mounted as containers see it, with a limit above the group.
func TestLimitsOfVersion2(t *testing.T) {
	dir := t.TempDir()
	proc, point := filepath.Join(dir, "proc"), filepath.Join(dir, "cgroup")
	for name, content := range map[string]string{
		"proc/self/mountinfo":                fmt.Sprintf("30 20 0:26 /docker/1 %s rw,nosuid - cgroup2 cgroup rw\n31 20 0:27 / /tmp rw - tmpfs tmpfs rw\n", point),
		"cgroup/a/memory.max":                "268435456\n",
		"cgroup/a/b.service/memory.max":      "max\n",
		"cgroup/a/b.service/memory.high":     "134217728\n",
		"cgroup/a/b.service/pids.max":        "40\n",
		"cgroup/a/b.service/pids.current":    "12\n",
		"cgroup/a/pids.current":              "99\n",
		"cgroup/a/other.service/memory.high": "1\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readLimits(proc, parseGroups([]byte("0::/docker/1/a/b.service\n")))
	if want := (limits{256 << 20, 128 << 20, 12, 40}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

// TestRealMemoryLimit: the limit of a real control group is found, on the process in it.
func TestRealMemoryLimit(t *testing.T) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	own, err := readProcess("/proc", os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	const limit = 64 << 20
	for _, h := range parseHierarchies(mounts) {
		name, group := "memory.max", own.group[""]
		if h.controllers != nil {
			name, group = "memory.limit_in_bytes", own.group["memory"]
		}
		dir := filepath.Join(h.dirs(group)[0], fmt.Sprintf("moult-doctor-%d", os.Getpid()))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		defer os.Remove(dir)
		if os.WriteFile(filepath.Join(dir, name), []byte(fmt.Sprint(limit)), 0) != nil {
			os.Remove(dir)
			continue
		}
		cmd := exec.Command("sleep", "60")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Wait()
		defer cmd.Process.Kill()
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(fmt.Sprint(cmd.Process.Pid)), 0); err != nil {
			t.Skip("no process can be moved: ", err)
		}
		f := &facts{Options: Options{Status: &admin.Status{PID: cmd.Process.Pid}}, file: &file{size: 20 << 20}}
		f.lookAtProcess("/proc", cmd.Process.Pid)
		if f.limits.memoryMax != limit || len(f.unseen) > 0 {
			t.Errorf("%+v, %v", f.limits, f.unseen)
		}
		if found := f.memory(); found[0].Severity != Error || !strings.Contains(found[0].Found, "the limit is 64 MB") {
			t.Errorf("%+v", found)
		}
		return
	}
	t.Skip("no control group can be made here")
}

// TestRealDisk: a small file system, and one that is full.
func TestRealDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a file system")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=32m,nr_inodes=40"); err != nil {
		t.Skip("mount: ", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	exe := filepath.Join(dir, "hello")
	if err := os.WriteFile(exe, make([]byte, 1<<20), 0o755); err != nil {
		t.Fatal(err)
	}
	examine := func() map[string]Finding {
		found := map[string]Finding{}
		for _, f := range Examine(t.Context(), Options{App: "no-unit-has-this-name", Version: "1.0.0", InstallPath: exe}).Findings {
			found[f.Check] = f
		}
		return found
	}
	if f := examine()["room"]; f.Severity != OK {
		t.Errorf("with room: %+v", f)
	}
	if err := os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 20<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if f := examine()["room"]; f.Severity != Error || !strings.Contains(f.Found, "MB are free") {
		t.Errorf("nearly full: %+v", f)
	}
	if err := os.Remove(filepath.Join(dir, "ballast")); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if f := examine()["room"]; f.Severity != Error || !strings.Contains(f.Found, "inodes are left") {
		t.Errorf("no inodes: %+v", f)
	}
	capability := []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} // cap_net_bind_service=ep, as setcap writes it
	if err := unix.Setxattr(exe, "security.capability", capability, 0); err != nil {
		t.Logf("no capability to look at: %v", err)
	} else if f := examine()["executable"]; f.Severity != Warning {
		t.Errorf("capabilities: %+v", f)
	}
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if f := examine()["replace"]; f.Severity != OK { // root may all the same
		t.Errorf("another's directory: %+v", f)
	}
}

// TestClock: what the kernel says of its clock is a fact or nothing, and this machine's is not years behind its own compiler.
func TestClock(t *testing.T) {
	if said := unsynchronised(); said != "" && !strings.Contains(said, "unsynchronised") {
		t.Error(said)
	}
	var tx unix.Timex
	state, err := unix.Adjtimex(&tx)
	if err == nil && (state == unix.TIME_ERROR) != (unsynchronised() != "") && tx.Status&unix.STA_UNSYNC == 0 {
		t.Errorf("state %d, status %#x: %q", state, tx.Status, unsynchronised())
	}
	f := &facts{Options: Options{Built: time.Now().Add(time.Hour)}, now: time.Now()}
	if found := f.clock(); found[0].Severity != OK {
		t.Errorf("built an hour from now, in another time zone: %+v", found)
	}
}
