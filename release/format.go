package release

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
)

// Decoding is what an executable is made from a payload by. Nothing in the payload counts against it.
type Decoding struct {
	Format Format
	Size   int64  // bytes of the payload
	Length int64  // bytes that must come out
	SHA256 Digest // of them

	// Member is the base name of the executable in an archive. Whoever signs an archive rarely says what is in it: with a Member,
	// Length and SHA256 may both be zero, and are then learned from what comes out.
	Member string

	// Of the executable that a delta starts from; none for a full payload. That Base is what From names is for the decoder
	// to check.
	From       Digest
	Base       io.ReaderAt
	BaseLength int64
}

// What may come out of an archive of which only the file itself is vouched for. Executables compress to a half or a quarter; what
// grows more than so many times is a bomb.
const (
	maxMember = 1 << 30
	maxRatio  = 64
	smallest  = 1 << 20 // allowed however small the archive is
)

// Learned reports whether length and digest of the executable come to be known only when it is unpacked.
func (d Decoding) Learned() bool { return d.Member != "" && d.Length == 0 && d.SHA256.IsZero() }

// Most is the most bytes that may come out.
func (d Decoding) Most() int64 {
	if d.Learned() {
		return min(maxMember, smallest+maxRatio*min(max(d.Size, 0), maxMember))
	}
	return d.Length
}

// Decoder writes the executable to w, in order. It allocates nothing on the word of the payload alone. What it does not
// check is the result: Decode does. If w has a method Grow(n int), a decoder may announce with it how many bytes will come.
type Decoder func(w io.Writer, payload io.Reader, d Decoding) error

// What can be wrong with a payload.
var (
	// ErrUnknownFormat says that no decoder of the format is linked into this program.
	ErrUnknownFormat = errors.New("unknown format")
	// ErrPayload says that a payload is not of its format, or does not fit the executable that it starts from.
	ErrPayload = errors.New("bad payload")
	// ErrTooLong says that more came out than was signed for.
	ErrTooLong = errors.New("more than was signed for")
	// ErrDigest says that other bytes came out than were signed for.
	ErrDigest = errors.New("sha256 mismatch")
)

var decoders = map[Format]Decoder{Raw: decodeRaw}

// RegisterFormat makes a format known, as image.RegisterFormat does: the package that implements it calls it from init.
func RegisterFormat(f Format, d Decoder) { decoders[f] = d }

// Known reports whether this program can decode f.
func (f Format) Known() bool { return decoders[f] != nil }

// Decode writes the executable that a payload holds, from its beginning, to w: never more than d.Most() bytes. If it returns an
// error, what was written must be thrown away. Memory stays at some MB if that of w does, and if a BSDiff40 payload is an io.ReaderAt.
func Decode(w io.Writer, payload io.Reader, d Decoding) error {
	decode := decoders[d.Format]
	if decode == nil {
		return fmt.Errorf("decode: %w %q", ErrUnknownFormat, d.Format)
	}
	out := &measure{w: w, hash: sha256.New(), left: d.Most()}
	in := io.LimitReader(payload, d.Size)
	if at, ok := payload.(io.ReaderAt); ok {
		in = io.NewSectionReader(at, 0, d.Size) // three streams of a bsdiff are read side by side
	}
	err := decode(out, in, d)
	switch {
	case out.err != nil:
		return fmt.Errorf("decode %s: %w", d.Format, out.err)
	case err != nil:
		return fmt.Errorf("decode %s: %w: %w", d.Format, ErrPayload, err)
	case d.Learned() && out.left < d.Most():
		return nil
	case out.left > 0:
		return fmt.Errorf("decode %s: %w: %d of %d bytes came out", d.Format, ErrPayload, d.Length-out.left, d.Length)
	}
	if got := Digest(out.hash.Sum(nil)); got != d.SHA256 {
		return fmt.Errorf("decode %s: %w: %s came out", d.Format, ErrDigest, got)
	}
	return nil
}

func decodeRaw(w io.Writer, payload io.Reader, _ Decoding) error {
	_, err := io.Copy(w, payload)
	return err
}

// measure bounds and hashes what a decoder writes.
type measure struct {
	w    io.Writer
	hash hash.Hash
	left int64
	err  error
}

func (m *measure) Write(p []byte) (int, error) {
	if m.err == nil && int64(len(p)) > m.left {
		m.err = ErrTooLong
	}
	if m.err != nil {
		return 0, m.err
	}
	m.hash.Write(p)
	m.left -= int64(len(p))
	n, err := m.w.Write(p)
	m.err = err
	return n, err
}

// Grow passes on what a decoder announces, within what may come.
func (m *measure) Grow(n int) {
	if g, ok := m.w.(interface{ Grow(int) }); ok && n > 0 && int64(n) <= m.left {
		g.Grow(n)
	}
}

// Decoding returns how the artifact is made from its full payload.
func (a Artifact) Decoding() Decoding {
	return Decoding{Format: a.Full.Format, Size: a.Full.Length, Length: a.Length, SHA256: a.SHA256}
}

// DecodingFrom returns how the artifact is made from an executable by one of its deltas.
func (a Artifact) DecodingFrom(d Delta, base io.ReaderAt, length int64) Decoding {
	return Decoding{Format: d.Format, Size: d.Length, Length: a.Length, SHA256: a.SHA256, From: d.From, Base: base, BaseLength: length}
}
