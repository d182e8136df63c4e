package assets

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseChecksums(t *testing.T) {
	b, err := os.ReadFile("../../testdata/dist/hello/checksums.txt")
	if err != nil {
		t.Fatal(err)
	}
	sums, err := ParseChecksums(b)
	if err != nil || len(sums) != 10 || sums["hello_1.4.0_linux_amd64.tar.gz"].Short() != "6a7b15d511bf" {
		t.Fatalf("%v, %v", sums, err)
	}
	digits := strings.Repeat("ab", 32)
	if sums, err := ParseChecksums([]byte(strings.ToUpper(digits) + " *a.exe\r\n\n" + digits + "  b c\n")); err != nil || len(sums) != 2 || sums["b c"].IsZero() {
		t.Errorf("other forms: %v, %v", sums, err)
	}
	for name, s := range map[string]string{
		"nothing": "", "no name": digits + "\n", "one space": digits + " a\n", "short": digits[1:] + "  a\n", "sha512": digits + digits + "  a\n", "twice": digits + "  a\n" + digits + "  a\n",
		"in a directory": digits + "  x/a\n", "leads out": digits + "  ..\\a\n", "web page": "<html>\n", "comment": "# sums\n" + digits + "  a\n",
		"large": strings.Repeat("\n", MaxChecksums+1), "name is long": digits + "  " + strings.Repeat("a", 300),
	} {
		if sums, err := ParseChecksums([]byte(s)); err == nil {
			t.Errorf("%s: %v", name, sums)
		}
	}
}

// TestParseSplit reads what goreleaser writes in its mode of that name.
func TestParseSplit(t *testing.T) {
	files, err := filepath.Glob("../../testdata/dist/two/*.sha256")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if d, err := parseSplit(b, "x"); err != nil || d.String() != string(b) {
			t.Errorf("%s: %s, %v", f, d, err)
		}
	}
}

func TestIsChecksums(t *testing.T) {
	for name, want := range map[string]bool{
		"checksums.txt": true, "hello_1.4.0_checksums.txt": true, "SHA256SUMS": true, "sha256sums.txt": true, "hello_checksums.sha256": true, "checksum.txt": true,
		"checksums.txt.minisig": false, "hello.sha256": false, "mychecksums.txt": false, "checksums.md": false,
	} {
		if got := IsChecksums(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzParseChecksums(f *testing.F) {
	f.Add([]byte(strings.Repeat("ab", 32) + "  hello_1.4.0_linux_amd64.tar.gz\n"))
	f.Add([]byte("\r\n *"))
	f.Fuzz(func(t *testing.T, b []byte) {
		sums, err := ParseChecksums(b)
		for name := range sums {
			if err != nil || name == "" || strings.ContainsAny(name, "/\\\n") {
				t.Errorf("%q, %v", name, err)
			}
		}
		parseSplit(b, "x")
	})
}
