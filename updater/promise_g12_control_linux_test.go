package updater

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/minio/selfupdate"
	"golang.org/x/sys/unix"
)

// unsyncedEnv is the variable by which a child of these tests, and what it starts, is made to believe that files are synced.
const unsyncedEnv = "UPDATER_TEST_UNSYNCED"

func init() {
	if os.Getenv(unsyncedEnv) != "" {
		if err := fakeSync(); err != nil {
			panic(err)
		}
	}
}

// fakeSync lets fsync(2) return at once and well, in this process and its children. So the order of our own steps can be
// tried without it, and no line of it changed.
func fakeSync() error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the call comes first in seccomp_data
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_FSYNC, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return errno
	}
	return nil
}

// TestPromiseG12Control: the same cuts meet selfupdate's own replacement, and our order of steps without its fsyncs. Both must lose the
// executable, or the cuts prove nothing.
func TestPromiseG12Control(t *testing.T) {
	if !inOwnMounts(t) {
		return
	}
	full := os.Getenv("MOULT_PROMISES") == "full"
	t.Run("ext4/selfupdate", func(t *testing.T) {
		p := newPowerStation(t, "ext4", "")
		p.applied(t, cutBytes, 0)
		p.gap(t)
		if full {
			p.applied(t, cutAll, 12*time.Second) // the journal is written every 5 s, or later on a busy machine, the bytes after 30
		}
	})
	t.Run("ext4/no fsync", func(t *testing.T) { newPowerStation(t, "ext4", "noauto_da_alloc").unsynced(t, full, true) })
	if full {
		t.Run("xfs/selfupdate", func(t *testing.T) { newPowerStation(t, "xfs", "").applied(t, cutBytes, 0) })
		t.Run("xfs/no fsync", func(t *testing.T) { newPowerStation(t, "xfs", "").unsynced(t, full, true) })
		// Here the file system helps those who rename over a name, as long as it is told to.
		t.Run("ext4/no fsync, auto_da_alloc", func(t *testing.T) { newPowerStation(t, "ext4", "").unsynced(t, full, false) })
	}
}

// applied cuts the power some time after a successful Apply.
func (p *powerStation) applied(t *testing.T, how string, after time.Duration) {
	made := candidate(t, "9.9.2-good")
	dir := p.fresh(nil)
	p.settle()
	path := filepath.Join(dir, "hello")
	if err := selfupdate.Apply(bytes.NewReader(made), selfupdate.Options{TargetPath: path}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after) // what the kernel makes of it meanwhile is the question
	if err := cutPower(dir, how); err != nil {
		t.Fatal(err)
	}
	p.remount()
	got, err := os.ReadFile(path)
	t.Logf("selfupdate.Apply, %v after it returned, %s: %d of %d bytes, %v", after, how, len(got), len(made), err)
	if err == nil && (bytes.Equal(got, made) || string(got) == oldBytes) {
		t.Error("the executable is whole")
	}
}

// gap cuts the power between the two renames of Apply: the file system is held still at any moment until that one is met.
func (p *powerStation) gap(t *testing.T) {
	dir := p.fresh(nil)
	p.settle()
	path, made := filepath.Join(dir, "hello"), candidate(t, "9.9.2-good")
	ended := make(chan struct{})
	go func() { // ends with the file system
		defer close(ended)
		for selfupdate.Apply(bytes.NewReader(made), selfupdate.Options{TargetPath: path}) == nil {
		}
	}()
	const freeze, thaw = 0xc0045877, 0xc0045878 // FIFREEZE, FITHAW of linux/fs.h
	tries, missing := 0, false
	for end := time.Now().Add(30 * time.Second); !missing && time.Now().Before(end); tries++ {
		err := p.control(func(fd int) error { return unix.IoctlSetInt(fd, freeze, 0) })
		_, lerr := os.Lstat(path)
		if missing = errors.Is(lerr, fs.ErrNotExist); missing {
			err = errors.Join(err, cutPower(dir, cutAll))
		}
		if err := errors.Join(err, p.control(func(fd int) error { return unix.IoctlSetInt(fd, thaw, 0) })); err != nil {
			t.Fatal(err)
		}
	}
	if !missing {
		cutPower(dir, cutAll)
	}
	<-ended
	p.remount()
	_, err := os.Lstat(path)
	t.Logf("selfupdate.Apply in a loop, cut at moment %d: %v", tries, err)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("there is an executable")
	}
}

// unsynced cuts the power of updates that believe that they sync.
func (p *powerStation) unsynced(t *testing.T, full, must bool) {
	first := string(candidate(t, "9.9.2-good"))
	o := &outage{mode: "alone", site: p.fresh([]byte(first)), before: oldBytes, after: first}
	t.Setenv(unsyncedEnv, "yes")
	p.dryRun(o)
	steps := o.steps
	if !full {
		steps = steps[len(steps)-1:]
	}
	lost, state := 0, 0
	for _, at := range steps {
		dir := p.copy(o.site)
		t.Setenv("UPDATER_TEST_CUT", cutBytes)
		if out, killed := runKillChild(t, dir, o.mode, at); !killed {
			t.Fatalf("not cut\n%s", out)
		}
		p.remount()
		if got, err := os.ReadFile(filepath.Join(dir, "hello")); err != nil || !slices.Contains([]string{oldBytes, first}, string(got)) {
			lost++
		}
		if b, err := os.ReadFile(filepath.Join(dir, ".hello.d", "state.json")); err == nil {
			if _, err := parseState(b); err != nil {
				state++
			}
		}
		os.RemoveAll(dir)
	}
	t.Logf("without fsync: the executable is lost in %d of %d cuts, the state file in %d", lost, len(steps), state)
	if lost == 0 && must {
		t.Error("the executable is always whole")
	}
}
