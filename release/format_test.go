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

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
