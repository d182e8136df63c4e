package updater

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const mountsEnv = "UPDATER_TEST_MOUNTS"

// inOwnMounts runs the calling test again, in a process whose mounts nobody else sees: they end with it, however it ends, and the
// loop devices below them too. It reports whether this is that process.
func inOwnMounts(t *testing.T) bool {
	t.Helper()
	if os.Getenv(mountsEnv) != "" {
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a file system")
	}
	for _, program := range []string{"mount", "mkfs.ext4", "mkfs.xfs"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("no file system can be made here: ", err)
		}
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skip("no file can be mounted here: ", err)
	}
	args := []string{"-test.run=^" + t.Name() + "$", "-test.v", "-test.timeout=10m"}
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), mountsEnv+"=own")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // whose death Pdeathsig speaks of
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP: "+t.Name())):
		t.Skipf("%s", out)
	default:
		t.Logf("%s", out)
	}
	return false
}

// disk is a file system in a file.
type disk struct {
	t                  *testing.T
	kind, options, dir string
	image              string
}

// newDisk makes and mounts one. The file lies in memory: what is slow about a disk is not what is asked.
func newDisk(t *testing.T, kind, options string) *disk {
	t.Helper()
	memory := t.TempDir()
	if err := unix.Mount("disk", memory, "tmpfs", 0, ""); err != nil {
		t.Skip("no memory can be mounted here: ", err)
	}
	t.Cleanup(func() { unix.Unmount(memory, unix.MNT_DETACH) })
	d := &disk{t: t, kind: kind, options: strings.TrimSuffix("loop,"+options, ","), dir: t.TempDir(), image: filepath.Join(memory, kind)}
	if err := errors.Join(os.WriteFile(d.image, nil, 0o600), os.Truncate(d.image, 512<<20)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs."+kind, "-q", d.image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.%s: %v\n%s", kind, err, out)
	}
	if out, err := d.tryMount(); err != nil {
		t.Skipf("no %s can be mounted here: %v\n%s", kind, err, out)
	}
	t.Cleanup(d.unmount)
	return d
}

func (d *disk) tryMount() ([]byte, error) {
	return exec.Command("mount", "-t", d.kind, "-o", d.options, d.image, d.dir).CombinedOutput()
}

// unmount waits for whatever still executes a file there.
func (d *disk) unmount() {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) { // between two tries
		err := unix.Unmount(d.dir, 0)
		if err == nil || errors.Is(err, unix.EINVAL) { // nothing is mounted
			return
		}
		if time.Now().After(end) {
			d.t.Fatalf("unmount: %v", err)
		}
	}
}

// remount is the power coming back: what the kernel had not written is gone.
func (d *disk) remount() {
	d.t.Helper()
	d.unmount()
	if out, err := d.tryMount(); err != nil {
		d.t.Fatalf("mount after the cut: %v\n%s", err, out)
	}
}

// settle makes everything on the file system durable.
func (d *disk) settle() {
	d.t.Helper()
	if err := d.control(func(fd int) error { return unix.Syncfs(fd) }); err != nil {
		d.t.Fatal(err)
	}
}

func (d *disk) control(f func(fd int) error) error { return control(d.dir, f) }

func control(dir string, f func(fd int) error) error {
	h, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer h.Close()
	return f(int(h.Fd()))
}

// The two worst ways for the power to go.
const (
	cutAll   = "all is lost"    // that nobody has made durable
	cutBytes = "bytes are lost" // but names are not: a file system has one journal, and anybody's fsync has just written it
)

var cuts = []string{cutAll, cutBytes}

// cutPower shuts the file system of dir down: from here on nothing reaches the disk.
func cutPower(dir, how string) error {
	if how == cutBytes {
		f, err := os.OpenFile(filepath.Join(dir, "bystander"), os.O_WRONLY|os.O_CREATE|os.O_SYNC, 0o600)
		if err != nil {
			return err
		}
		_, err = f.WriteString("what this process has written is on the disk\n")
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return control(dir, func(fd int) error {
		const goingDown, noLogFlush = 0x8004587d, 2 // FS_IOC_GOINGDOWN of linux/fs.h
		if err := unix.IoctlSetPointerInt(fd, goingDown, noLogFlush); err != nil {
			return fmt.Errorf("shut the file system down: %w", err)
		}
		return nil
	})
}
