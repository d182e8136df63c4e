package updater

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const nobody = 65534

func init() { otherProcesses["as a user"] = userChild }

// userChild upgrades the installation in UPDATER_TEST_DIR alone, and tells how it went.
func userChild() int {
	dir := os.Getenv("UPDATER_TEST_DIR")
	payload, err := os.ReadFile(filepath.Join(dir, "payload"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	src := &fakeSource{}
	src.offer("9.9.2-good", payload)
	u, err := New(Options{Name: "hello", Version: "1.0.0", Source: src, InstallPath: filepath.Join(dir, "hello"), Module: "-"})
	if err == nil {
		_, err = u.Upgrade(context.Background(), Request{})
	}
	if e := (*Error)(nil); errors.As(err, &e) {
		fmt.Printf("%s %s, %d fetched: %v\n", e.Class, e.Reason, src.fetched, e)
		return 0
	}
	fmt.Println("done:", err)
	return 0
}

// TestServiceUsers: real users, as services run, and who owns what.
func TestServiceUsers(t *testing.T) {
	needRoot(t)
	tests := []struct {
		name    string
		prepare func(dir, exe string) error
		want    string // prefix of what the user's process tells
	}{
		{"own everything", func(dir, exe string) error { return os.Chown(exe, nobody, nobody) }, "done: <nil>"},
		{"setuid of one's own", func(dir, exe string) error {
			return errors.Join(os.Chown(exe, nobody, nobody), os.Chmod(exe, 0o755|os.ModeSetuid))
		}, "done: <nil>"},
		{"a group that one is in", func(dir, exe string) error { return os.Chown(exe, nobody, 4321) }, "done: <nil>"},
		{"a group that one is not in", func(dir, exe string) error { return os.Chown(exe, nobody, 1234) }, "permission owner, 0 fetched"},
		{"an executable of root's", func(dir, exe string) error { return nil }, "permission owner, 0 fetched"},
		{"a directory of root's", func(dir, exe string) error {
			return errors.Join(os.Chown(exe, nobody, nobody), os.Chown(dir, 0, 0))
		}, "permission state-dir, 0 fetched"},
		{"a directory of root's, with a state directory", func(dir, exe string) error {
			state := filepath.Join(dir, ".hello.d")
			return errors.Join(os.Chown(exe, nobody, nobody), os.Chown(dir, 0, 0), os.Mkdir(state, 0o700), os.Chown(state, nobody, nobody))
		}, "permission not-writable, 0 fetched"},
		{"a sticky directory", func(dir, exe string) error {
			return errors.Join(os.Chown(exe, nobody, nobody), os.Chown(dir, 0, 0), os.Chmod(dir, 0o777|os.ModeSticky))
		}, "done: <nil>"},
		{"file capabilities", func(dir, exe string) error {
			return errors.Join(os.Chown(exe, nobody, nobody), unix.Setxattr(exe, "security.capability", bindService, 0))
		}, "permission xattr, 0 fetched"},
		{"read-only executable with an attribute", func(dir, exe string) error {
			return errors.Join(os.Chown(exe, nobody, nobody), unix.Setxattr(exe, "user.note", []byte("kept"), 0), os.Chmod(exe, 0o555))
		}, "done: <nil>"},
	}
	payload := candidate(t, "9.9.2-good")
	program := readable(t)
	if err := copyExecutable(os.Args[0], filepath.Join(program, "updater.test")); err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := readable(t)
			exe := filepath.Join(dir, "hello")
			err := errors.Join(os.WriteFile(exe, []byte(oldBytes), 0o755), os.WriteFile(filepath.Join(dir, "payload"), payload, 0o644), os.Chown(dir, nobody, nobody))
			if err != nil {
				t.Fatal(err)
			}
			if err := test.prepare(dir, exe); err != nil {
				t.Fatal(err)
			}
			before := looks(t, exe)
			cmd := exec.Command(filepath.Join(program, "updater.test"))
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "UPDATER_TEST_DIR="+dir, "UPDATER_TEST_MODE=as a user", "HOME=/")
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody, Groups: []uint32{4321}}}
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.HasPrefix(string(out), test.want) {
				t.Fatalf("%v: %s\nwant %s", err, out, test.want)
			}
			if strings.HasPrefix(test.want, "done") != (readString(t, exe) == string(payload)) {
				t.Errorf("installed: %d bytes", len(readString(t, exe)))
			}
			if after := looks(t, exe); after != before {
				t.Errorf("it looked like %s, and now like %s", before, after)
			}
		})
	}
}

// cap_net_bind_service=ep, as setcap writes it.
var bindService = []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

// readable is a directory that other users may enter.
func readable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// looks is what the kernel sees of a file beside its bytes.
func looks(t *testing.T, path string) string {
	t.Helper()
	fi, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	uid, gid := ownerOf(fi)
	var s strings.Builder
	fmt.Fprintf(&s, "%v %d:%d", fi.Mode(), uid, gid)
	names := make([]byte, 4096)
	n, err := unix.Llistxattr(path, names)
	if err != nil {
		t.Fatal(err)
	}
	for name := range bytes.SplitSeq(bytes.TrimRight(names[:n], "\x00"), []byte{0}) {
		value := make([]byte, 4096)
		n, _ := unix.Lgetxattr(path, string(name), value)
		fmt.Fprintf(&s, " %s=%x", name, value[:max(n, 0)])
	}
	return s.String()
}

func readString(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func copyExecutable(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

// TestEverythingOfTheFileIsKept: as root, owner, mode, setuid, ACL, attributes and capabilities of the installed file are those of the next one.
func TestEverythingOfTheFileIsKept(t *testing.T) {
	needRoot(t)
	b := newBench(t, nil)
	acl := []byte{2, 0, 0, 0, // version
		1, 0, 7, 0, 0xff, 0xff, 0xff, 0xff, // owner rwx
		2, 0, 5, 0, 99, 0, 0, 0, // user 99 r-x
		4, 0, 5, 0, 0xff, 0xff, 0xff, 0xff, // group r-x
		0x10, 0, 5, 0, 0xff, 0xff, 0xff, 0xff, // mask r-x
		0x20, 0, 0, 0, 0xff, 0xff, 0xff, 0xff} // others none
	err := errors.Join(os.Chown(b.path, 33, 44), os.Chmod(b.path, 0o750|os.ModeSetuid|os.ModeSetgid),
		unix.Setxattr(b.path, "user.note", []byte("kept"), 0), unix.Setxattr(b.path, accessACL, acl, 0), unix.Setxattr(b.path, "security.capability", bindService, 0))
	if errors.Is(err, unix.ENOTSUP) {
		t.Skip("not on this file system: ", err)
	} else if err != nil {
		t.Fatal(err)
	}
	before := looks(t, b.path)
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	if _, err := b.Upgrade(t.Context(), Request{}); err != nil {
		t.Fatal(err)
	}
	if after := looks(t, b.path); after != before {
		t.Errorf("it looked like\n%s, and now like\n%s", before, after)
	}
}

// TestNoHardLinks: where files have one name each, the previous version is kept as a copy.
func TestNoHardLinks(t *testing.T) {
	needRoot(t)
	image := filepath.Join(t.TempDir(), "image")
	err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 64<<20))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.vfat", image).CombinedOutput(); err != nil {
		t.Skipf("mkfs.vfat: %v %s", err, out)
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-o", "loop,umask=022", image, dir).CombinedOutput(); err != nil {
		t.Skipf("mount: %v %s", err, out)
	}
	t.Cleanup(func() { unix.Unmount(dir, 0) })
	b := &bench{t: t, path: filepath.Join(dir, "hello"), source: &fakeSource{}, log: io.Discard}
	if err := os.WriteFile(b.path, []byte(oldBytes), 0o755); err != nil {
		t.Fatal(err)
	}
	b.open(nil)
	b.source.offer("9.9.2-good", candidate(t, "9.9.2-good"))
	if _, err := b.Upgrade(t.Context(), Request{}); err != nil {
		t.Fatal(err)
	}
	if s := b.status(); len(s.Kept) != 1 || b.installed() != string(candidate(t, "9.9.2-good")) {
		t.Errorf("status %+v", s)
	}
}
