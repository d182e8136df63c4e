package updater

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestPutOver(t *testing.T) {
	dir := t.TempDir()
	from, at := filepath.Join(dir, "kept", "hello"), filepath.Join(dir, "hello")
	err := errors.Join(os.Mkdir(filepath.Dir(from), 0o700), os.WriteFile(from, []byte("kept"), 0o755), os.WriteFile(at, []byte("bad"), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	root, place := openRoot(t, filepath.Dir(from)), openRoot(t, dir)
	for range 2 { // the second time both names stand for one file, and a rename between them does nothing
		if err := putOver(root, "hello", place, "hello"); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(at); err != nil || string(got) != "kept" {
			t.Fatalf("%q, %v", got, err)
		}
		if left, _ := os.ReadDir(filepath.Dir(from)); len(left) != 1 || left[0].Name() != "hello" {
			t.Fatalf("beside the kept file: %v", left)
		}
	}
}

func openRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func TestWriteDurableTakesNoPlantedFile(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	if err := os.Symlink(victim, filepath.Join(dir, ".state.json.tmp")); err != nil {
		t.Fatal(err)
	}
	if err := writeDurable(openRoot(t, dir), "state.json", []byte("{}"), true, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(victim); !errors.Is(err, os.ErrNotExist) {
		t.Error("a planted link was followed")
	}
}
