package delta_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/moult-go/moult/release/delta"
)

// limits are what signed metadata would say.
func limits(old, new, patch []byte) delta.Limits {
	return delta.Limits{Patch: int64(len(patch)), New: int64(len(new)), From: sha256.Sum256(old), To: sha256.Sum256(new)}
}

func encode(t testing.TB, old, new []byte) []byte {
	t.Helper()
	var patch bytes.Buffer
	if err := delta.Encode(t.Context(), &patch, old, new, delta.Options{}); err != nil {
		t.Fatal(err)
	}
	return patch.Bytes()
}

func decode(old, patch []byte, max delta.Limits) ([]byte, error) {
	var got bytes.Buffer
	err := delta.Decode(&got, bytes.NewReader(old), int64(len(old)), bytes.NewReader(patch), max)
	return got.Bytes(), err
}

func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = io.ReadFull(r, b)
	return b
}

// code looks like a program whose references all moved by one of a few amounts.
func code(seed uint64, n int, moved uint32) []byte {
	b := random(seed, n)
	for i := 0; i+16 <= n; i += 16 {
		v := uint32(i)*3 + moved*uint32(1+i/5000%3)
		b[i], b[i+1], b[i+2], b[i+3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
	}
	return b
}

func pairs() map[string][2][]byte {
	base := random(1, 300_000)
	one := bytes.Clone(base)
	one[150_000]++
	shifted := bytes.Join([][]byte{base[:1000], []byte("inserted"), base[1000:200_000], base[250_000:], base[90_000:91_000]}, nil)
	zeros := make([]byte, 3<<20)
	holes := bytes.Clone(zeros)
	copy(holes[1<<20:], base[:5000])
	return map[string][2][]byte{
		"both empty":      {nil, nil},
		"from nothing":    {nil, base[:100_000]},
		"to nothing":      {base[:1000], nil},
		"one byte":        {[]byte{1}, []byte{2}},
		"identical":       {base, base},
		"one changed":     {base, one},
		"first changed":   {base, append([]byte{base[0] + 1}, base[1:]...)},
		"last changed":    {base, append(bytes.Clone(base[:len(base)-1]), base[len(base)-1]+1)},
		"blocks shifted":  {base, shifted},
		"backwards":       {shifted, base},
		"nothing alike":   {base, random(2, 310_000)},
		"zeros":           {zeros, zeros[:2<<20]},
		"zeros and holes": {zeros, holes},
		"holes to zeros":  {holes, zeros},
		"period":          {bytes.Repeat([]byte("abcab"), 100_000), bytes.Repeat([]byte("abcaba"), 100_000)},
		"shrinks":         {random(3, 2<<20), random(3, 1000)},
		"grows":           {random(3, 1000), random(3, 2<<20)},
		"references":      {code(4, 1<<20, 0), code(4, 1<<20, 0x140)},
		"several frames":  {base, random(5, 7<<20)},
	}
}

// TestSameBytes: the patch does not depend on how many search.
func TestSameBytes(t *testing.T) {
	old := code(1, 100<<10, 0)
	new := bytes.Repeat(code(1, 100<<10, 64), 45) // two segments
	want := encode(t, old, new)
	for _, n := range []int{1, 7} {
		var got bytes.Buffer
		if err := delta.Encode(t.Context(), &got, old, new, delta.Options{Parallel: n}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%d searches make another patch", n)
		}
	}
}

func TestEncodeStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := delta.Encode(ctx, io.Discard, random(1, 1000), random(2, 1000), delta.Options{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestRoundTrip(t *testing.T) {
	for name, p := range pairs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, new := p[0], p[1]
			patch := encode(t, old, new)
			got, err := decode(old, patch, limits(old, new, patch))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, new) {
				t.Fatal("made another file")
			}
			t.Log(len(old), len(new), len(patch))
			if worst := len(new) + len(new)/1000 + 200; len(patch) > worst {
				t.Errorf("a patch of %d bytes for %d", len(patch), len(new))
			}
		})
	}
}
