package grace

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestModeFromTheFirstMoment: nobody may connect between bind and chmod.
func TestModeFromTheFirstMoment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.sock")
	lc := net.ListenConfig{Control: restrict(0o600)}
	ln, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := fi.Mode().Perm(); got&^0o600 != 0 {
		t.Errorf("mode %o after bind", got)
	}
}

// TestModeIsExact: the umask takes nothing away.
func TestModeIsExact(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.sock")
	ln, owner, err := bindUnix(Socket{Network: "unix", Address: path, Mode: 0o666})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o666 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	owner.unlink()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("not removed: %v", err)
	}
}
