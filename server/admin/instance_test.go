package admin_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moult-go/moult/server/admin"
)

// plant makes an instance in home, with a living socket or none.
func plant(t *testing.T, home, id string, alive bool) admin.Instance {
	t.Helper()
	dir := filepath.Join(home, id)
	if err := admin.MakePrivate(dir); err != nil {
		t.Fatal(err)
	}
	in := admin.Instance{ID: id, App: "hello", PID: 1, Admin: filepath.Join(dir, "admin.sock"), Listen: []string{"localhost:1"}}
	if alive {
		ln, err := net.Listen("unix", in.Admin)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
	}
	if err := in.Write(dir); err != nil {
		t.Fatal(err)
	}
	return in
}

// stateDir is short, as the paths of Unix sockets must be, and has a fallback home of its own.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "st")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
	return filepath.Join(dir, ".hello.d")
}

func TestInstances(t *testing.T) {
	dir := stateDir(t)
	if list, err := admin.Instances(dir); err != nil || len(list) != 0 {
		t.Fatalf("no state directory: %v, %v", list, err)
	}
	homes := admin.Homes(dir)
	plant(t, homes[0], "bbb", true)
	plant(t, homes[0], "dead", false)
	plant(t, homes[1], "aaa", true)
	liar := plant(t, homes[0], "liar", true)
	liar.ID = "other"
	if err := liar.Write(filepath.Join(homes[0], "liar")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(homes[0], "stray"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}

	list, err := admin.Instances(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].ID != "aaa" || list[1].ID != "bbb" {
		t.Errorf("found %+v, want aaa and bbb", list)
	}

	if err := os.Chmod(homes[1], 0o777); err != nil {
		t.Fatal(err)
	}
	if list, _ := admin.Instances(dir); len(list) != 1 || list[0].ID != "bbb" {
		t.Errorf("with a home that others may write: found %+v, want bbb alone", list)
	}
}

func TestSweep(t *testing.T) {
	dir := stateDir(t)
	home := admin.Homes(dir)[0]
	plant(t, home, "alive", true)
	dead := plant(t, home, "dead", false)
	elsewhere := filepath.Join(filepath.Dir(dir), "run", "gone")
	if err := admin.MakePrivate(elsewhere); err != nil {
		t.Fatal(err)
	}
	gone := plant(t, home, "gone", false)
	gone.Admin = filepath.Join(elsewhere, "admin.sock")
	if err := gone.Write(filepath.Join(home, gone.ID)); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"young", "old"} {
		if err := admin.MakePrivate(filepath.Join(home, id)); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(home, "old"), past, past); err != nil {
		t.Fatal(err)
	}

	admin.Sweep(home)
	for path, want := range map[string]bool{
		filepath.Join(home, "alive"): true, filepath.Join(home, "young"): true,
		filepath.Join(home, dead.ID): false, filepath.Join(home, "old"): false,
		filepath.Join(home, gone.ID): false, elsewhere: false,
	} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", path, err == nil, want)
		}
	}
}

func TestAlive(t *testing.T) {
	dir := stateDir(t)
	in := plant(t, dir, "a", true)
	if err := admin.Alive(in.Admin); err != nil {
		t.Errorf("a socket with a listener: %v", err)
	}
	if err := admin.Alive(in.Admin + "x"); !errors.Is(err, admin.ErrDead) {
		t.Errorf("no socket: %v, want ErrDead", err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
	if err := admin.Alive(filepath.Join(dir, "s")); !errors.Is(err, admin.ErrDead) {
		t.Errorf("a socket that nobody listens on: %v, want ErrDead", err)
	}
}

func TestMakePrivate(t *testing.T) {
	dir := t.TempDir()
	if err := admin.MakePrivate(filepath.Join(dir, "new", "deep")); err != nil {
		t.Errorf("a new directory: %v", err)
	}
	if err := os.Symlink(filepath.Join(dir, "new"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := admin.MakePrivate(filepath.Join(dir, "link")); err == nil {
		t.Error("a link was accepted")
	}
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o770); err != nil {
		t.Fatal(err)
	}
	if err := admin.MakePrivate(open); err == nil || !strings.Contains(err.Error(), "0770") {
		t.Errorf("a directory that the group may write: %v", err)
	}
}

func FuzzParseInstance(f *testing.F) {
	f.Add([]byte(`{"schema":1,"id":"abc","admin":"/x/abc/admin.sock"}`))
	f.Add([]byte(`{"schema":1,"id":"../..","admin":"/x"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := admin.ParseInstance(b)
		if err != nil {
			return
		}
		if in.ID == "" || strings.ContainsAny(in.ID, "/.\x00") || !filepath.IsAbs(in.Admin) {
			t.Errorf("accepted id %q, admin %q", in.ID, in.Admin)
		}
	})
}
