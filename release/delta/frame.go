package delta

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// The columns of a frame. Each holds one kind of thing, so that each is compressed by statistics of its own.
const (
	steps   = iota // seek, add and extra of each step
	gaps           // bytes between one fix and the next
	known          // for each fix, the place of its difference among the recent ones, or fresh
	differs        // differences that are not among them
	extras         // bytes that are new
	columns
)

// maxFrame is the most bytes that the columns of a frame hold together, and that they take compressed. It decides the decoder's memory.
const maxFrame = 4 << 20

// maxSpread is the most bytes of columns for each byte that a frame makes; an encoder needs 25.
const maxSpread = 32

// wide is how many bytes a fix changes: an address, or an offset, in the code of most machines.
const wide = 4

// fresh says in column known that the difference stands in column differs.
const fresh = 255

// recent are the differences of the last fixes, the latest first. What the linker moved differs by the same few amounts for long stretches.
type recent struct {
	list [fresh]uint32
	n    int
}

// find returns the place of d, or fresh.
func (r *recent) find(d uint32) byte {
	for i, e := range r.list[:r.n] {
		if e == d {
			return byte(i)
		}
	}
	return fresh
}

// take moves place i to the front and returns it.
func (r *recent) take(i byte) uint32 {
	d := r.list[i]
	copy(r.list[1:], r.list[:i])
	r.list[0] = d
	return d
}

// add puts d to the front; the oldest one falls out.
func (r *recent) add(d uint32) {
	r.n = min(r.n+1, len(r.list))
	copy(r.list[1:r.n], r.list[:])
	r.list[0] = d
}

// word reads up to 4 bytes, little-endian.
func word(b []byte) (w uint32) {
	if len(b) >= wide {
		return binary.LittleEndian.Uint32(b)
	}
	for i, c := range b {
		w |= uint32(c) << (8 * i)
	}
	return w
}

// putWord writes the low bytes of w to b, as many as fit.
func putWord(b []byte, w uint32) {
	if len(b) >= wide {
		binary.LittleEndian.PutUint32(b, w)
		return
	}
	for i := range b {
		b[i] = byte(w >> (8 * i))
	}
}

// frame is a part of the patch that stands for itself but for the place in the old file and the recent differences.
type frame struct {
	made   int64 // bytes of the new file
	column [columns][]byte
}

func (f *frame) size() (n int) {
	for _, c := range f.column {
		n += len(c)
	}
	return n
}

func (f *frame) reset() {
	f.made = 0
	for i := range f.column {
		f.column[i] = f.column[i][:0]
	}
}

func (f *frame) write(w io.Writer, z *zstd.Encoder) error {
	head := binary.AppendUvarint(nil, uint64(f.made))
	var body []byte
	for _, c := range f.column {
		head = binary.AppendUvarint(head, uint64(len(c)))
		if len(c) > 0 {
			before := len(body)
			body = z.EncodeAll(c, body)
			head = binary.AppendUvarint(head, uint64(len(body)-before))
		}
	}
	if _, err := w.Write(append(head, body...)); err != nil {
		return err
	}
	return nil
}

// frameReader reads frames into the same memory again and again.
type frameReader struct {
	frame
	z          *zstd.Decoder
	raw, taken []byte // maxFrame bytes at most each
}

// input is what a patch is read from.
type input interface {
	io.Reader
	io.ByteReader
}

// read reads a frame that makes at most rest bytes.
func (f *frameReader) read(r input, rest int64) error {
	made, err := binary.ReadUvarint(r)
	if err != nil {
		return broken(err)
	}
	if made == 0 || made > uint64(rest) {
		return fmt.Errorf("%w: a frame of %d bytes, with %d to come", ErrMalformed, made, rest)
	}
	f.made = int64(made)

	room := maxFrame
	if f.made < maxFrame/maxSpread {
		room = int(f.made) * maxSpread
	}
	var raw, packed [columns]int
	var sumRaw, sumPacked int
	for i := range raw {
		if raw[i], err = readLength(r, room-sumRaw); err != nil {
			return err
		}
		if raw[i] > 0 {
			if packed[i], err = readLength(r, maxFrame-sumPacked); err != nil {
				return err
			}
		}
		sumRaw, sumPacked = sumRaw+raw[i], sumPacked+packed[i]
	}
	f.taken, f.raw = atLeast(f.taken, sumPacked), atLeast(f.raw, sumRaw)
	if _, err := io.ReadFull(r, f.taken); err != nil {
		return broken(err)
	}
	from, to := f.taken, f.raw
	for i := range raw {
		out, err := f.z.DecodeAll(from[:packed[i]], to[:0:raw[i]])
		if err != nil {
			return fmt.Errorf("%w: column %d: %w", ErrMalformed, i, err)
		}
		if len(out) != raw[i] {
			return fmt.Errorf("%w: column %d has %d bytes, not %d", ErrMalformed, i, len(out), raw[i])
		}
		f.column[i] = out
		from, to = from[packed[i]:], to[raw[i]:]
	}
	return nil
}

func readLength(r input, max int) (int, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return 0, broken(err)
	}
	if n > uint64(max) {
		return 0, fmt.Errorf("%w: a column of %d bytes, with room for %d", ErrMalformed, n, max)
	}
	return int(n), nil
}

// atLeast returns n bytes, those of b if it has as many.
func atLeast(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// number takes one from the beginning of column i.
func (f *frame) number(i int) (uint64, error) {
	v, n := binary.Uvarint(f.column[i])
	if n <= 0 {
		return 0, fmt.Errorf("%w: column %d ends too early", ErrMalformed, i)
	}
	f.column[i] = f.column[i][n:]
	return v, nil
}

// signed takes a zigzag number from the beginning of column i.
func (f *frame) signed(i int) (int64, error) {
	v, err := f.number(i)
	return int64(v>>1) ^ -int64(v&1), err
}
