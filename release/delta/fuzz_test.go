package delta_test

import (
	"bytes"
	"testing"

	"github.com/moult-go/moult/release/delta"
)

// most is what decoding small files may allocate in all: buffers, two times 4 MiB of a frame, and zstd.
const most = 24 << 20

func FuzzDecode(f *testing.F) {
	old, new := code(1, 8000, 0), append(code(1, 8000, 32), "more"...)
	f.Add(encode(f, old, new))
	f.Add(encode(f, old, random(2, 900)))
	f.Add(encode(f, old, nil))
	const header = 92
	good := encode(f, old, new)[:header]
	f.Fuzz(func(t *testing.T, patch []byte) {
		// With the header that the limits want, the fuzzer is past it; what it changes there is tried as well.
		for _, p := range [][]byte{patch, append(bytes.Clone(good), patch[min(header, len(patch)):]...)} {
			before := allocated()
			got, err := decode(old, p, limits(old, new, p))
			if n := allocated() - before; n > most {
				t.Errorf("it took %d bytes", n)
			}
			if len(got) > len(new) || err == nil && !bytes.Equal(got, new) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		}
	})
}

func FuzzBSDiff40(f *testing.F) {
	old, new := bsdiffFiles()
	good := bsdiffPatch(f)
	f.Add(good)
	f.Fuzz(func(t *testing.T, patch []byte) {
		before := allocated()
		got, err := bspatch(old, patch, limits(old, new, patch))
		if n := allocated() - before; n > most {
			t.Errorf("it took %d bytes", n)
		}
		if len(got) > len(new) || err == nil && !bytes.Equal(got, new) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("some text that is here"), []byte("some other text that was here"))
	f.Add([]byte{}, []byte{1})
	f.Add(code(1, 300, 0), code(1, 300, 32))
	f.Fuzz(func(t *testing.T, old, new []byte) {
		patch := encode(t, old, new)
		got, err := decode(old, patch, limits(old, new, patch))
		if err != nil || !bytes.Equal(got, new) {
			t.Fatalf("%q, %v", got, err)
		}
		if err := (delta.Patcher{Limits: limits(old, new, patch)}).Patch(bytes.NewBuffer(old), &bytes.Buffer{}, bytes.NewReader(patch)); err != nil {
			t.Fatal(err)
		}
	})
}
