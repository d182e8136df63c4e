//go:build !race

package updater

import (
	"bytes"
	"context"
	"crypto/sha256"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/moult-go/moult/grace/role"
	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/archive"
	"github.com/moult-go/moult/release/payload"
)

// peakFile is the variable by which a staging child of the test is told where to leave its peak memory.
const peakFile = "UPDATER_TEST_PEAK"

func init() {
	role.Handle(role.Stage, func(channel *os.File) error {
		err := stageRole(channel)
		if file := os.Getenv(peakFile); file != "" {
			status, _ := os.ReadFile("/proc/self/status")
			os.WriteFile(file, status, 0o600)
		}
		return err
	})
}

var peakLine = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// TestPromiseG19Child: a staging child holds the executable once and at most 32 MB beside it, whatever way it comes. The promise is three times. Control:
// where selfupdate's buffer grows by itself, 40 MB took 137 MB raw and 147 MB from zstd.
func TestPromiseG19Child(t *testing.T) {
	size := 2 << 20
	if os.Getenv("MOULT_PROMISES") == "full" {
		size = 100 << 20
	}
	old, made := make([]byte, size), make([]byte, size)
	rand.NewChaCha8([32]byte{}).Read(old)
	for i := range old { // compresses by a half, as executables do
		old[i] &= 0x0f
	}
	copy(made, old)
	for i := 0; i < size; i += 1 << 12 {
		made[i]++
	}
	var full, delta bytes.Buffer
	if err := payload.Compress(t.Context(), &full, made, nil); err != nil {
		t.Fatal(err)
	}
	if err := payload.Delta(t.Context(), &delta, old, made, 2); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, nil)
	if err := os.WriteFile(b.path, old, 0o755); err != nil {
		t.Fatal(err)
	}
	b.open(nil)
	b.lock()
	peak := filepath.Join(t.TempDir(), "peak")
	t.Setenv(peakFile, peak)
	childEnv = append(childEnv, peakFile)
	for _, tc := range []struct {
		format release.Format
		from   release.Digest
		file   []byte
	}{
		{release.Raw, release.Digest{}, made},
		{release.Zstd, release.Digest{}, full.Bytes()},
		{release.Patch, sha256.Sum256(old), delta.Bytes()},
		{archive.TarGzip, release.Digest{}, archived(t, "hello", made)},
	} {
		c := b.source.offer("1.1.0", made)
		if tc.format == archive.TarGzip {
			c.Length, c.Digest, c.Member = 0, release.Digest{}, "hello"
		}
		w := way{b.source.encoded(tc.format, tc.file), tc.from}
		file, err := b.fetch(context.Background(), Request{}, c, w)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.stage(context.Background(), c, w, file, b.versionFile(build{"1.1.0", c.Digest})); err != nil {
			t.Fatal(err)
		}
		status, err := os.ReadFile(peak)
		m := peakLine.FindSubmatch(status)
		if err != nil || m == nil {
			t.Fatalf("no peak: %v\n%s", err, status)
		}
		kb, _ := strconv.Atoi(string(m[1]))
		t.Logf("%q of %d bytes: peak %.1f MB for an executable of %.1f MB", tc.format, len(tc.file), float64(kb)/1024, float64(size)/(1<<20))
		if most := size/1024 + 32<<10; kb > most {
			t.Errorf("%q: %d kB, more than %d", tc.format, kb, most)
		}
		os.Remove(peak)
	}
}
