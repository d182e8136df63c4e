package updater

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestStagedFileHasTheMetadataOfTheInstalledOne(t *testing.T) {
	b := newBench(t, nil)
	if err := unix.Setxattr(b.path, "user.note", []byte("kept"), 0); errors.Is(err, unix.ENOTSUP) {
		t.Skip("no extended attributes here")
	} else if err != nil {
		t.Fatal(err)
	}
	root := os.Geteuid() == 0
	if root {
		if err := os.Chown(b.path, 33, 44); err != nil {
			t.Fatal(err)
		}
		// cap_net_bind_service=ep, as setcap writes it
		capability := []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
		if err := unix.Setxattr(b.path, "security.capability", capability, 0); err != nil {
			t.Logf("no capability to copy: %v", err)
		}
	}
	if err := os.Chmod(b.path, 0o750|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	target, err := stageOne(t, b, []byte("payload"), nil)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := os.Stat(b.path)
	got, err := os.Stat(target)
	if err != nil || got.Mode() != want.Mode() {
		t.Errorf("mode %v, want %v (%v)", got.Mode(), want.Mode(), err)
	}
	if u, g := ownerOf(got); root && (u != 33 || g != 44) {
		t.Errorf("owner %d:%d", u, g)
	}
	for _, name := range []string{"user.note", "security.capability"} {
		buf := make([]byte, 100)
		n, err1 := unix.Getxattr(b.path, name, buf)
		copied := make([]byte, 100)
		m, err2 := unix.Getxattr(target, name, copied)
		if err1 == nil && (err2 != nil || string(buf[:n]) != string(copied[:m])) {
			t.Errorf("%s: %q, %v; want %q", name, copied[:max(m, 0)], err2, buf[:n])
		}
	}
}
