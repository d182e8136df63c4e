package cmd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestPromiseG22 weighs what each part adds to a stripped hello server, alone. The bounds are what was measured and a little more, so that
// nothing grows unseen; docs/explanation/weight.md says what had been hoped for, and where the bytes are.
func TestPromiseG22(t *testing.T) {
	dir := t.TempDir()
	hello := weigh(t, dir, "hello")
	for _, w := range []struct {
		program string
		most    float64 // MB
		full    bool    // it is built only when promises are kept in full
	}{
		{"dropin", 1.25, false},
		{"path", 2.2, true},
		{"feed", 6, true},
		{"service", 9, true},
		{"command", 13.5, true},
	} {
		t.Run(w.program, func(t *testing.T) {
			if w.full && os.Getenv("MOULT_PROMISES") != "full" {
				t.Skip("only with MOULT_PROMISES=full")
			}
			added := float64(weigh(t, dir, w.program)-hello) / 1e6
			t.Logf("adds %.2f MB to %.2f", added, float64(hello)/1e6)
			if added > w.most {
				t.Errorf("adds %.2f MB, more than %.2f", added, w.most)
			}
			if added < 0.1 {
				t.Errorf("adds %.2f MB: it is not linked", added)
			}
		})
	}
}

// weigh returns the bytes of a stripped program below testdata/weight.
func weigh(t *testing.T, dir, program string) int64 {
	t.Helper()
	file := filepath.Join(dir, program)
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", file, "./testdata/weight/"+program)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", program, err, out)
	}
	fi, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Size()
}
