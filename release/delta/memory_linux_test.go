//go:build !race

// The race detector multiplies the memory of a process.

package delta_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/delta"
)

// decoderVar makes of this test binary a process that does nothing but decode: "place" or "hold", and the directory.
const decoderVar = "MOULT_TEST_DELTA_DECODER"

func TestMain(m *testing.M) {
	how, dir, ok := strings.Cut(os.Getenv(decoderVar), ":")
	if !ok {
		os.Exit(m.Run())
	}
	if err := decodeFiles(how, dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// decodeFiles makes dir/made of dir/old by dir/patch, and prints the status of this process.
func decodeFiles(how, dir string) error {
	path := func(name string) string { return filepath.Join(dir, name) }
	var max delta.Limits
	var err error
	if max.From, _, err = release.DigestFile(path("old")); err != nil {
		return err
	}
	if max.To, max.New, err = release.DigestFile(path("new")); err != nil {
		return err
	}
	if _, max.Patch, err = release.DigestFile(path("patch")); err != nil {
		return err
	}
	old, err := os.Open(path("old"))
	if err != nil {
		return err
	}
	patch, err := os.Open(path("patch"))
	if err != nil {
		return err
	}
	made, err := os.Create(path("made"))
	if err != nil {
		return err
	}
	var from io.Reader = old
	if how == "hold" {
		from = io.MultiReader(old)
	}
	if err := (delta.Patcher{Limits: max}).Patch(from, made, patch); err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/self/status")
	fmt.Printf("%s", status)
	return err
}

// TestPromiseDecoderMemory: a process that makes one file of 64 MiB from another needs 32 MB at most; with files of half the size unless the
// promises are wanted in full. One that holds the old file is the control.
func TestPromiseDecoderMemory(t *testing.T) {
	size := 32 << 20
	if os.Getenv("MOULT_PROMISES") == "full" {
		size *= 2
	}
	old, new := make([]byte, size), make([]byte, size)
	copy(old[10<<20:], code(1, 1<<20, 0))
	copy(new[11<<20:], code(1, 1<<20, 32))
	copy(new[20<<20:], random(2, 5<<19))
	patch := encode(t, old, new)
	dir := t.TempDir()
	for name, b := range map[string][]byte{"old": old, "new": new, "patch": patch} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	peak := func(how string) (kb int64) {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), decoderVar+"="+how+":"+dir, "GOCOVERDIR="+dir)
		var stderr bytes.Buffer
		c.Stderr = &stderr
		status, err := c.Output()
		if err != nil {
			t.Fatalf("%v: %s", err, &stderr)
		}
		_, line, _ := strings.Cut(string(status), "VmHWM:")
		if _, err := fmt.Sscan(line, &kb); err != nil {
			t.Fatalf("%s: %v", status, err)
		}
		made, err := os.ReadFile(filepath.Join(dir, "made"))
		if err != nil {
			t.Fatal(err)
		}
		if sha256.Sum256(made) != sha256.Sum256(new) {
			t.Error("made another file")
		}
		return kb
	}
	const bound = 32_000_000 / 1024
	kb := peak("place")
	t.Logf("VmHWM %d kB for a patch of %d bytes", kb, len(patch))
	if kb > bound {
		t.Errorf("VmHWM is %d kB", kb)
	}
	if held := peak("hold"); held <= bound {
		t.Errorf("the control: VmHWM is %d kB with the old file in memory", held)
	}
}
