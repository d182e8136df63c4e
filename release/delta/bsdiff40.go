package delta

import (
	"compress/bzip2"
	"encoding/binary"
	"fmt"
	"io"
)

// BSDiff40 applies patches of Colin Percival's bsdiff 4, in the shape that minio/selfupdate wants of a patcher. Unlike selfupdate's own it
// trusts no number of the patch, checks the base, and holds neither of the files.
type BSDiff40 struct {
	Limits
}

const (
	bsdiffMagic  = "BSDIFF40"
	bsdiffHeader = 32
	// bsdiffIdle is how many triples that make nothing may follow each other. bsdiff writes one at the most places; a bzip2 stream of a few bytes
	// holds millions.
	bsdiffIdle = 1 << 10
)

// Patch writes to new what patch makes of old. Nothing is good before it returned nil. Of old and patch, one that is an io.ReaderAt and
// io.Seeker, as *os.File is, is read in place from where it stands; an old file that is not is held in memory, up to 256 MiB, and so is a patch, up to Limits.Patch.
func (b BSDiff40) Patch(old io.Reader, new io.Writer, patch io.Reader) error {
	if err := b.patch(old, new, patch); err != nil {
		return fmt.Errorf("apply bsdiff: %w", err)
	}
	return nil
}

func (b BSDiff40) patch(old io.Reader, new io.Writer, patch io.Reader) error {
	p, size, err := readerAt(patch, b.Limits.Patch)
	if err != nil {
		return fmt.Errorf("read the patch: %w", err)
	}
	control, diff, extra, err := b.streams(p, size)
	if err != nil {
		return err
	}
	at, oldSize, err := readerAt(old, maxHeld)
	if err != nil {
		return fmt.Errorf("read the old file: %w", err)
	}
	if err := isBase(at, oldSize, b.From); err != nil {
		return err
	}
	d := bsdiffDecoder{control: control, diff: diff, extra: extra, old: at, oldSize: oldSize, out: newOutput(new, b.New)}
	for d.out.left > 0 {
		if err := d.triple(); err != nil {
			return err
		}
	}
	return d.out.close(b.To)
}

// streams checks the header against the limits and the size of the patch, and returns the three compressed streams.
func (b BSDiff40) streams(p io.ReaderAt, size int64) (control, diff, extra io.Reader, err error) {
	if size > b.Limits.Patch {
		return nil, nil, nil, fmt.Errorf("%w: a patch of %d bytes, of %d", ErrTooLarge, size, b.Limits.Patch)
	}
	var h [bsdiffHeader]byte
	if _, err := p.ReadAt(h[:], 0); err != nil {
		return nil, nil, nil, fmt.Errorf("header: %w", broken(err))
	}
	c, d, n := offset(h[8:]), offset(h[16:]), offset(h[24:])
	rest := size - bsdiffHeader
	switch {
	case string(h[:8]) != bsdiffMagic:
		return nil, nil, nil, fmt.Errorf("%w: not BSDIFF40", ErrMalformed)
	case c < 0 || c > rest || d < 0 || d > rest-c || n < 0:
		return nil, nil, nil, fmt.Errorf("%w: streams of %d and %d bytes in %d, for %d", ErrMalformed, c, d, rest, n)
	case n > b.New:
		return nil, nil, nil, fmt.Errorf("%w: it makes %d bytes, of %d", ErrTooLarge, n, b.New)
	case n != b.New:
		return nil, nil, nil, fmt.Errorf("%w: it makes %d bytes, not %d", ErrMalformed, n, b.New)
	}
	stream := func(from, size int64) io.Reader { return bzip2.NewReader(io.NewSectionReader(p, from, size)) }
	return stream(bsdiffHeader, c), stream(bsdiffHeader+c, d), stream(bsdiffHeader+c+d, rest-c-d), nil
}

type bsdiffDecoder struct {
	control, diff, extra io.Reader
	old                  io.ReaderAt
	oldSize              int64
	at                   int64 // in old
	idle                 int   // triples in a row that made nothing
	out                  output
	chunk, delta         [32 << 10]byte
}

// triple applies the next instruction: add bytes of old with differences, bring extra ones, then seek in old.
func (d *bsdiffDecoder) triple() error {
	var b [24]byte
	if _, err := io.ReadFull(d.control, b[:]); err != nil {
		return fmt.Errorf("control: %w", brokenStream(err))
	}
	add, extra, seek := offset(b[:]), offset(b[8:]), offset(b[16:])
	switch {
	case add < 0 || add > d.out.left || add > d.oldSize-d.at:
		return fmt.Errorf("%w: it adds %d bytes at %d of %d, with %d to come", ErrMalformed, add, d.at, d.oldSize, d.out.left)
	case extra < 0 || extra > d.out.left-add:
		return fmt.Errorf("%w: it brings %d bytes, with %d to come", ErrMalformed, extra, d.out.left-add)
	case add+extra > 0:
		d.idle = 0
	case d.idle == bsdiffIdle:
		return fmt.Errorf("%w: it goes on without making anything", ErrMalformed)
	default:
		d.idle++
	}
	if err := d.add(add); err != nil {
		return err
	}
	for extra > 0 {
		c := d.chunk[:min(extra, int64(len(d.chunk)))]
		if _, err := io.ReadFull(d.extra, c); err != nil {
			return fmt.Errorf("extra bytes: %w", brokenStream(err))
		}
		if err := d.out.write(c); err != nil {
			return err
		}
		extra -= int64(len(c))
	}
	if d.out.left > 0 && (seek < -d.at || seek > d.oldSize-d.at) {
		return fmt.Errorf("%w: it seeks %d from %d of %d", ErrMalformed, seek, d.at, d.oldSize)
	}
	d.at += seek
	return nil
}

func (d *bsdiffDecoder) add(n int64) error {
	for n > 0 {
		c := d.chunk[:min(n, int64(len(d.chunk)))]
		if got, err := d.old.ReadAt(c, d.at); got < len(c) {
			return fmt.Errorf("read the old file at %d: %w", d.at, err)
		}
		x := d.delta[:len(c)]
		if _, err := io.ReadFull(d.diff, x); err != nil {
			return fmt.Errorf("differences: %w", brokenStream(err))
		}
		for i := range c {
			c[i] += x[i]
		}
		if err := d.out.write(c); err != nil {
			return err
		}
		d.at += int64(len(c))
		n -= int64(len(c))
	}
	return nil
}

// offset reads a number of bsdiff: its size in 63 bits, little-endian, then the sign.
func offset(b []byte) int64 {
	v := binary.LittleEndian.Uint64(b)
	n := int64(v &^ (1 << 63))
	if v>>63 == 1 {
		return -n
	}
	return n
}

// brokenStream is err for a bzip2 stream that cannot be read on.
func brokenStream(err error) error {
	if _, ok := err.(bzip2.StructuralError); ok {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return broken(err)
}
