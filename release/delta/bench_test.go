package delta_test

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/moult-go/moult/release/delta"
)

// benchPairs are what benchmarks work on: a made-up program, and the files that MOULT_DELTA_PAIRS names ("old1,new1 old2,new2").
func benchPairs(b *testing.B, run func(b *testing.B, old, new []byte)) {
	b.Run("made-up", func(b *testing.B) { run(b, code(1, 4<<20, 0), code(1, 4<<20, 32)) })
	for pair := range strings.FieldsSeq(os.Getenv("MOULT_DELTA_PAIRS")) {
		from, to, _ := strings.Cut(pair, ",")
		old, err := os.ReadFile(from)
		if err != nil {
			b.Fatal(err)
		}
		new, err := os.ReadFile(to)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(to[strings.LastIndexByte(to, '/')+1:], func(b *testing.B) { run(b, old, new) })
	}
}

func BenchmarkEncode(b *testing.B) {
	benchPairs(b, func(b *testing.B, old, new []byte) {
		b.SetBytes(int64(len(new)))
		var patch bytes.Buffer
		for b.Loop() {
			patch.Reset()
			if err := delta.Encode(b.Context(), &patch, old, new, delta.Options{}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(patch.Len()), "B/patch")
	})
}

func BenchmarkDecode(b *testing.B) {
	benchPairs(b, func(b *testing.B, old, new []byte) {
		patch := encode(b, old, new)
		max := limits(old, new, patch)
		b.SetBytes(int64(len(new)))
		b.ReportAllocs()
		for b.Loop() {
			if err := delta.Decode(io.Discard, bytes.NewReader(old), int64(len(old)), bytes.NewReader(patch), max); err != nil {
				b.Fatal(err)
			}
		}
	})
}
