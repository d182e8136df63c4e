package doctor

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestReadExpiries(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "feed")
	if list, err := readExpiries(dir); err != nil || list != nil {
		t.Errorf("no feed: %v, %v", list, err)
	}
	write := func(name, expires string, age time.Duration) {
		t.Helper()
		file := filepath.Join(dir, name)
		when := time.Now().Add(-age)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(`{"signatures": [], "signed": {"expires": "`+expires+`"}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, when, when); err != nil {
			t.Fatal(err)
		}
	}
	write("old/timestamp.json", "2020-01-01T00:00:00Z", 2*time.Hour)
	write("new/timestamp.json", "2027-01-01T00:00:00Z", time.Hour)
	write("new/2.root.json", "2028-01-01T00:00:00Z", 3*time.Hour)
	write("new/10.root.json", "2029-01-01T00:00:00Z", 3*time.Hour)
	list, err := readExpiries(dir)
	if err != nil || len(list) != 2 || list[0].Role != "root" || list[0].Expires.Year() != 2029 || list[1].Role != "timestamp" || list[1].Expires.Year() != 2027 {
		t.Errorf("%+v, %v", list, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "new/targets.json"), []byte("<html>"), 0o600); err != nil {
		t.Fatal(err)
	}
	if list, err := readExpiries(dir); err == nil || len(list) != 2 {
		t.Errorf("a file that does not parse: %+v, %v", list, err)
	}
}
