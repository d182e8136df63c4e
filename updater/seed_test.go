package updater

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestSeed(t *testing.T) {
	b := newBench(t, nil)
	read := func() []byte {
		t.Helper()
		s, err := b.seed()
		if err != nil || len(s) != 32 {
			t.Fatalf("seed of %d bytes, %v", len(s), err)
		}
		return s
	}
	first := read()
	b.open(nil) // another process, the next version, another instance
	if !bytes.Equal(read(), first) {
		t.Error("another process has another seed")
	}
	file := filepath.Join(b.dir, "seed")
	if fi, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	for _, damage := range []func() error{
		func() error { return os.Remove(file) },
		func() error { return os.WriteFile(file, first[:31], 0o600) },
		func() error { return os.WriteFile(file, nil, 0o600) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		next := read()
		if bytes.Equal(next, first) || !bytes.Equal(read(), next) {
			t.Error("not drawn anew, or not kept")
		}
	}
	if left, _ := filepath.Glob(filepath.Join(b.dir, ".seed*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	other := newBench(t, nil)
	if s, err := other.seed(); err != nil || bytes.Equal(s, read()) {
		t.Errorf("two hosts of one seed, %v", err)
	}
}
