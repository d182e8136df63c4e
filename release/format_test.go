package release

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	defer delete(decoders, "test")
	const content = "an executable"
	full := errors.New("full")
	for name, tc := range map[string]struct {
		format Format
		decode Decoder
		w      io.Writer
		want   error
	}{
		"raw":            {Raw, nil, nil, nil},
		"unknown":        {"nobody's", nil, nil, ErrUnknownFormat},
		"its own error":  {"test", func(io.Writer, io.Reader, Decoding) error { return io.ErrUnexpectedEOF }, nil, ErrPayload},
		"writes nothing": {"test", func(io.Writer, io.Reader, Decoding) error { return nil }, nil, ErrPayload},
		"writes more": {"test", func(w io.Writer, r io.Reader, _ Decoding) error {
			_, err := io.Copy(w, io.MultiReader(r, strings.NewReader("!")))
			return err
		}, nil, ErrTooLong},
		"endless, and deaf": {"test", func(w io.Writer, _ io.Reader, _ Decoding) error {
			for range 1000 {
				w.Write([]byte(content))
			}
			return nil
		}, nil, ErrTooLong},
		"other bytes": {"test", func(w io.Writer, _ io.Reader, _ Decoding) error {
			_, err := io.WriteString(w, strings.ToUpper(content))
			return err
		}, nil, ErrDigest},
		"disk full": {Raw, nil, writerFunc(func([]byte) (int, error) { return 0, full }), full},
	} {
		if tc.decode != nil {
			RegisterFormat(tc.format, tc.decode)
		}
		var got bytes.Buffer
		if tc.w == nil {
			tc.w = &got
		}
		d := Decoding{Format: tc.format, Size: int64(len(content)), Length: int64(len(content)), SHA256: sha256.Sum256([]byte(content))}
		err := Decode(tc.w, strings.NewReader(content+" and what does not belong to it"), d)
		if !errors.Is(err, tc.want) || tc.want == full && errors.Is(err, ErrPayload) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
		if got.Len() > len(content) || err == nil && got.String() != content {
			t.Errorf("%s: wrote %q", name, got.String())
		}
	}
	if !Raw.Known() || Format("nobody's").Known() {
		t.Error("Known")
	}
}

// TestDecodeLearns: an archive is vouched for, and what is in it is learned; nothing else can be had without a digest.
func TestDecodeLearns(t *testing.T) {
	defer delete(decoders, "test")
	const bomb = smallest + maxRatio*10 + 1
	write := func(n int) Decoder {
		return func(w io.Writer, _ io.Reader, _ Decoding) error {
			_, err := w.Write(make([]byte, n))
			return err
		}
	}
	for name, tc := range map[string]struct {
		decode Decoder
		d      Decoding
		want   error
	}{
		"some bytes":         {write(100), Decoding{Member: "hello"}, nil},
		"as many as may":     {write(bomb - 1), Decoding{Member: "hello"}, nil},
		"a bomb":             {write(bomb), Decoding{Member: "hello"}, ErrTooLong},
		"nothing":            {write(0), Decoding{Member: "hello"}, ErrPayload},
		"no archive":         {write(100), Decoding{}, ErrTooLong},
		"digest is known":    {write(5), Decoding{Member: "hello", Length: 5, SHA256: sha256.Sum256(make([]byte, 5))}, nil},
		"other digest":       {write(5), Decoding{Member: "hello", Length: 5, SHA256: sha256.Sum256(nil)}, ErrDigest},
		"length but no more": {write(5), Decoding{Member: "hello", Length: 5}, ErrDigest},
	} {
		RegisterFormat("test", tc.decode)
		tc.d.Format, tc.d.Size = "test", 10
		if err := Decode(io.Discard, strings.NewReader("0123456789"), tc.d); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	if most := (Decoding{Member: "hello", Size: 1 << 62}).Most(); most != maxMember {
		t.Errorf("most %d", most)
	}
}

// TestGrow: a buffer is made at once for what an archive announces, and for no more than may come.
func TestGrow(t *testing.T) {
	defer delete(decoders, "test")
	for _, tc := range []struct{ announced, atLeast, atMost int }{{1 << 19, 1 << 19, 1 << 20}, {1 << 29, 0, 1 << 20}, {-1, 0, 1 << 20}} {
		RegisterFormat("test", func(w io.Writer, _ io.Reader, _ Decoding) error {
			w.(interface{ Grow(int) }).Grow(tc.announced)
			_, err := io.WriteString(w, "x")
			return err
		})
		var b bytes.Buffer
		if err := Decode(&b, strings.NewReader("x"), Decoding{Format: "test", Size: 1, Member: "hello"}); err != nil || b.Cap() < tc.atLeast || b.Cap() > tc.atMost {
			t.Errorf("announced %d: room for %d, %v", tc.announced, b.Cap(), err)
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
