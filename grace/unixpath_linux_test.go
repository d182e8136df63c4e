package grace

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
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

// TestManyStartsAtOnce: of those that find the socket of a dead server, one gets the path, and keeps it.
func TestManyStartsAtOnce(t *testing.T) {
	for range 100 {
		path := filepath.Join(t.TempDir(), "web.sock")
		dead, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		dead.(*net.UnixListener).SetUnlinkOnClose(false)
		dead.Close()
		begin := make(chan struct{})
		results := make(chan deadlineListener)
		for range 8 {
			go func() {
				<-begin
				ln, _, err := bindUnix(Socket{Network: "unix", Address: path})
				if err != nil && !errors.Is(err, syscall.EADDRINUSE) {
					t.Error(err)
				}
				results <- ln
			}()
		}
		close(begin)
		n := 0
		for range 8 {
			if ln := <-results; ln != nil {
				n++
				defer ln.Close()
			}
		}
		if n != 1 {
			t.Fatalf("%d have it", n)
		}
	}
}
