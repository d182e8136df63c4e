package delta

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// numbers are varints, one after the other.
func numbers(v ...uint64) (b []byte) {
	for _, n := range v {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// back is a signed number below zero, as it stands in a column.
func back(n uint64) uint64 { return 2*n - 1 }

// TestFrames: what a frame says is checked against the old file, the new one and the frame itself. Each of these is one lie; the first is none.
func TestFrames(t *testing.T) {
	old := bytes.Repeat([]byte("0123456789"), 10)
	const made = 20
	want := append(bytes.Clone(old[4:22]), "ab"...)
	want[5]++
	good := func() frame {
		return frame{made: made, column: [columns][]byte{
			steps: numbers(2*4, 18, 2), gaps: numbers(5), known: {fresh}, differs: numbers(2), extras: []byte("ab"),
		}}
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	try := func(f frame, raw func([]byte) []byte) ([]byte, error) {
		var patch, got bytes.Buffer
		h := header{from: sha256.Sum256(old), fromSize: int64(len(old)), to: sha256.Sum256(want), toSize: made}
		patch.Write(h.bytes())
		var body bytes.Buffer
		if err := f.write(&body, z); err != nil {
			t.Fatal(err)
		}
		patch.Write(raw(body.Bytes()))
		err := Decode(&got, bytes.NewReader(old), h.fromSize, &patch, Limits{Patch: 1 << 30, New: made, From: h.from, To: h.to})
		return got.Bytes(), err
	}
	as := func(b []byte) []byte { return b }
	if got, err := try(good(), as); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%q, %v", got, err)
	}

	for name, lie := range map[string]func(*frame){
		"before the beginning":         func(f *frame) { f.column[steps] = numbers(back(1), 18, 2) },
		"the least seek":               func(f *frame) { f.column[steps] = numbers(1<<64-1, 18, 2) },
		"after the end":                func(f *frame) { f.column[steps] = numbers(2*101, 18, 2) },
		"adds past the end":            func(f *frame) { f.column[steps] = numbers(2*90, 18, 2) },
		"adds more than the frame":     func(f *frame) { f.column[steps] = numbers(2*4, 21, 2) },
		"adds 2^63":                    func(f *frame) { f.column[steps] = numbers(2*4, 1<<63, 2) },
		"brings more than the frame":   func(f *frame) { f.column[steps] = numbers(2*4, 19, 2) },
		"brings more than the column":  func(f *frame) { f.column[steps] = numbers(2*4, 17, 3) },
		"brings 2^63":                  func(f *frame) { f.column[steps] = numbers(2*4, 18, 1<<63) },
		"a step that makes nothing":    func(f *frame) { f.column[steps] = numbers(0, 0, 0, 2*4, 18, 2) },
		"no steps":                     func(f *frame) { f.column[steps] = nil },
		"half a step":                  func(f *frame) { f.column[steps] = numbers(2*4, 18) },
		"a number without an end":      func(f *frame) { f.column[steps] = bytes.Repeat([]byte{0x80}, 12) },
		"a step too many":              func(f *frame) { f.column[steps] = numbers(2*4, 18, 2, 0, 1, 0) },
		"a gap too many":               func(f *frame) { f.column[gaps] = numbers(5, 5) },
		"a fix after the end":          func(f *frame) { f.column[gaps] = numbers(18) },
		"a gap without a fix":          func(f *frame) { f.column[gaps] = numbers(5, 100) },
		"a gap of 2^63":                func(f *frame) { f.column[gaps] = numbers(1 << 63) },
		"a recent one that is not":     func(f *frame) { f.column[known], f.column[differs] = []byte{0}, nil },
		"no difference known":          func(f *frame) { f.column[known] = nil },
		"one known too many":           func(f *frame) { f.column[known] = []byte{fresh, fresh} },
		"no difference":                func(f *frame) { f.column[differs] = nil },
		"a difference too many":        func(f *frame) { f.column[differs] = numbers(2, 2) },
		"an extra byte too many":       func(f *frame) { f.column[extras] = []byte("abc") },
		"makes more than the file":     func(f *frame) { f.made++ },
		"makes nothing":                func(f *frame) { f.made = 0 },
		"makes less than its steps":    func(f *frame) { f.made-- },
		"columns of 32 for each byte":  func(f *frame) { f.column[extras] = make([]byte, maxSpread*made) },
		"columns beyond what is given": func(f *frame) { f.column[extras] = make([]byte, maxFrame+1) },
	} {
		f := good()
		lie(&f)
		if got, err := try(f, as); !errors.Is(err, ErrMalformed) || len(got) > 0 {
			t.Errorf("%s: %v, %d bytes", name, err, len(got))
		}
	}

	for name, lie := range map[string]func([]byte) []byte{
		"a column is longer than said":  func(b []byte) []byte { b[1]--; return b },
		"a column is shorter than said": func(b []byte) []byte { b[1]++; return b },
		"compressed beyond the patch":   func(b []byte) []byte { b[2] += 100; return b },
		"compressed to 2^40":            func(b []byte) []byte { return bytes.Join([][]byte{b[:2], numbers(1 << 40), b[3:]}, nil) },
		"no zstd":                       func(b []byte) []byte { return append(b[:11], make([]byte, 200)...) },
	} {
		if got, err := try(good(), lie); !errors.Is(err, ErrMalformed) || len(got) > 0 {
			t.Errorf("%s: %v, %d bytes", name, err, len(got))
		}
	}
	other := good()
	other.column[extras] = []byte("ac")
	if got, err := try(other, as); !errors.Is(err, ErrDigest) || len(got) > 0 {
		t.Errorf("another file: %v, %d bytes", err, len(got))
	}
}

func TestRecent(t *testing.T) {
	var r recent
	for i := range uint32(300) {
		r.add(i)
	}
	if r.n != fresh || r.find(299) != 0 || r.find(45) != 254 || r.find(44) != fresh {
		t.Errorf("%d: %d, %d, %d", r.n, r.find(299), r.find(45), r.find(44))
	}
	if r.take(254) != 45 || r.find(45) != 0 || r.find(299) != 1 || r.find(46) != 254 {
		t.Error("not moved to the front")
	}
}
