package payload

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/moult-go/moult/release"
)

func compress(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var last int64
	if err := Compress(context.Background(), &out, b, func(done int64) { last = done }); err != nil || last != int64(len(b)) {
		t.Fatalf("compressed %d of %d bytes, %v", last, len(b), err)
	}
	return out.Bytes()
}

func zstdOf(z, raw []byte) release.Decoding {
	return release.Decoding{Format: release.Zstd, Size: int64(len(z)), Length: int64(len(raw)), SHA256: sha256.Sum256(raw)}
}

func TestZstdRoundTrip(t *testing.T) {
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{"executable": self, "byte": {1}, "zeros": make([]byte, 20<<20)} {
		z := compress(t, raw)
		if !bytes.Equal(z, compress(t, raw)) {
			t.Errorf("%s: another stream the second time", name)
		}
		var got bytes.Buffer
		if err := release.Decode(&got, bytes.NewReader(z), zstdOf(z, raw)); err != nil || !bytes.Equal(got.Bytes(), raw) {
			t.Errorf("%s: %d of %d bytes, %v", name, got.Len(), len(raw), err)
		}
	}
}

func TestCompressEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Compress(ctx, io.Discard, make([]byte, 1<<20), nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestZstdRefuses(t *testing.T) {
	raw := bytes.Repeat([]byte("an executable "), 5000)
	good := compress(t, raw)
	changed := bytes.Clone(good)
	changed[len(changed)/2] ^= 1
	bomb := compress(t, make([]byte, 64<<20))
	for name, tc := range map[string]struct {
		z    []byte
		want error
	}{
		"bomb":            {bomb, release.ErrTooLong},
		"changed":         {changed, release.ErrPayload},
		"cut off":         {good[:len(good)-5], release.ErrPayload},
		"nothing":         {nil, release.ErrPayload},
		"garbage":         {bytes.Repeat([]byte("x"), 100), release.ErrPayload},
		"garbage at end":  {append(bytes.Clone(good), "garbage"...), release.ErrPayload},
		"shorter":         {compress(t, raw[1:]), release.ErrPayload},
		"other bytes":     {compress(t, bytes.ToUpper(raw)), release.ErrDigest},
		"the raw one":     {raw, release.ErrPayload},
		"window of 64 MB": {wideWindow(t, raw), release.ErrPayload},
	} {
		d := zstdOf(tc.z, raw)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var got bytes.Buffer
		err := release.Decode(&got, bytes.NewReader(tc.z), d)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, tc.want) || got.Len() > len(raw) {
			t.Errorf("%s: %v after %d bytes, want %v", name, err, got.Len(), tc.want)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 40<<20 {
			t.Errorf("%s: allocated %d MB", name, used>>20)
		}
	}
}

// wideWindow is a stream whose reader would have to remember 64 MB.
func wideWindow(t *testing.T, raw []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	e, err := zstd.NewWriter(&out, zstd.WithWindowSize(64<<20))
	if err != nil {
		t.Fatal(err)
	}
	// Flushed in between: a small stream that is closed at once says its length and not its window.
	_, err1 := e.Write(raw[:1000])
	err2 := e.Flush()
	_, err3 := e.Write(raw[1000:])
	if err := errors.Join(err1, err2, err3, e.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func FuzzZstd(f *testing.F) {
	raw := bytes.Repeat([]byte("an executable "), 500)
	good := compress(f, raw)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, z []byte) {
		var got bytes.Buffer
		err := release.Decode(&got, bytes.NewReader(z), zstdOf(z, raw))
		if got.Len() > len(raw) || err == nil && !bytes.Equal(got.Bytes(), raw) {
			t.Errorf("%d bytes, %v", got.Len(), err)
		}
	})
}
