package delta

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/moult-go/moult/release"
)

// Decode writes to w the file that patch makes from old, which has oldSize bytes. It reads patch and writes w from the beginning to the end,
// reads old all through and then here and there, and holds a few MB whatever patch says. What stands in the header must agree with max,
// and old must have the digest that max says, or nothing is written. Nothing of what was written is good before Decode returned nil.
func Decode(w io.Writer, old io.ReaderAt, oldSize int64, patch io.Reader, max Limits) error {
	if err := decode(w, old, oldSize, patch, max); err != nil {
		return fmt.Errorf("apply delta: %w", err)
	}
	return nil
}

func decode(w io.Writer, old io.ReaderAt, oldSize int64, patch io.Reader, max Limits) error {
	in := bufio.NewReaderSize(&capped{r: patch, left: max.Patch}, 64<<10)
	h, err := readHeader(in)
	if err != nil {
		return err
	}
	if err := h.agrees(max, oldSize); err != nil {
		return err
	}
	image, size, err := h.transform.predict(old, oldSize)
	if err != nil {
		return err
	}
	if err := isBase(old, oldSize, max.From); err != nil {
		return err
	}
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxMemory(maxFrame))
	if err != nil {
		return err
	}
	defer z.Close()
	d := decoder{in: in, old: image, oldSize: size, frameReader: frameReader{z: z}, out: newOutput(w, h.toSize)}
	for d.out.left > 0 {
		if err := d.nextFrame(); err != nil {
			return err
		}
	}
	if _, err := in.ReadByte(); err == nil {
		return fmt.Errorf("%w: it goes on after the end", ErrMalformed)
	} else if err != io.EOF {
		return err
	}
	return d.out.close(max.To)
}

// isBase returns an error unless old has the digest want.
func isBase(old io.ReaderAt, size int64, want release.Digest) error {
	got, n, err := release.DigestReader(io.NewSectionReader(old, 0, size))
	if err != nil {
		return fmt.Errorf("read the old file: %w", err)
	}
	if n != size || got != want {
		return fmt.Errorf("%w: it starts from %v, this is %v", ErrWrongBase, want, got)
	}
	return nil
}

type decoder struct {
	frameReader
	recent
	in      input
	old     io.ReaderAt
	oldSize int64
	at      int64 // in old, after the last step
	gap     int64 // bytes of old until the next fix
	chunk   [64 << 10]byte
	out     output
}

// noFix is the gap when a frame has no more fixes.
const noFix = 1<<63 - 1

func (d *decoder) nextFrame() error {
	if err := d.frameReader.read(d.in, d.out.left); err != nil {
		return err
	}
	if err := d.nextGap(); err != nil {
		return err
	}
	for rest := d.made; rest > 0; {
		s, err := d.nextStep(rest)
		if err != nil {
			return err
		}
		if err := d.add(s.add); err != nil {
			return err
		}
		if err := d.out.write(d.column[extras][:s.extra]); err != nil {
			return err
		}
		d.column[extras] = d.column[extras][s.extra:]
		rest -= s.add + s.extra
	}
	if d.size() != 0 || d.gap != noFix {
		return fmt.Errorf("%w: a frame has more than it needs", ErrMalformed)
	}
	return nil
}

// nextStep takes a step that makes at most rest bytes.
func (d *decoder) nextStep(rest int64) (s step, err error) {
	seek, err := d.signed(steps)
	if err != nil {
		return s, err
	}
	add, err := d.number(steps)
	if err != nil {
		return s, err
	}
	extra, err := d.number(steps)
	if err != nil {
		return s, err
	}
	switch {
	case seek < -d.at || seek > d.oldSize-d.at:
		return s, fmt.Errorf("%w: a step of %d from %d of %d", ErrMalformed, seek, d.at, d.oldSize)
	case add > uint64(min(rest, d.oldSize-d.at-seek)):
		return s, fmt.Errorf("%w: a step takes %d bytes more than there are", ErrMalformed, add)
	case extra > uint64(min(rest-int64(add), int64(len(d.column[extras])))):
		return s, fmt.Errorf("%w: a step brings %d bytes more than there are", ErrMalformed, extra)
	}
	if add+extra == 0 {
		return s, fmt.Errorf("%w: a step makes nothing", ErrMalformed)
	}
	d.at += seek
	return step{seek: seek, add: int64(add), extra: int64(extra)}, nil
}

// add writes n bytes of the old file, with their fixes.
func (d *decoder) add(n int64) error {
	for n > 0 {
		c := d.chunk[:min(n, int64(len(d.chunk)))]
		if got, err := d.old.ReadAt(c, d.at); got < len(c) {
			return fmt.Errorf("read the old file at %d: %w", d.at, err)
		}
		done, err := d.fix(c, n)
		if err != nil {
			return err
		}
		if err := d.out.write(c[:done]); err != nil {
			return err
		}
		d.at += int64(done)
		n -= int64(done)
	}
	return nil
}

// fix mends the beginning of the n bytes that a step adds and returns how many are done: a fix that goes over the end of c waits for the next.
func (d *decoder) fix(c []byte, n int64) (int, error) {
	i := 0
	for d.gap < int64(len(c)-i) {
		i += int(d.gap)
		d.gap = 0
		end := i + int(min(wide, n-int64(i)))
		if end > len(c) {
			return i, nil
		}
		diff, err := d.nextDiff()
		if err != nil {
			return 0, err
		}
		putWord(c[i:end], word(c[i:end])+diff)
		i = end
		if err := d.nextGap(); err != nil {
			return 0, err
		}
	}
	if d.gap != noFix {
		d.gap -= int64(len(c) - i)
	}
	return len(c), nil
}

func (d *decoder) nextGap() error {
	d.gap = noFix
	if len(d.column[gaps]) == 0 {
		return nil
	}
	gap, err := d.number(gaps)
	if err == nil && gap >= noFix {
		err = fmt.Errorf("%w: a gap of %d bytes", ErrMalformed, gap)
	}
	d.gap = int64(gap)
	return err
}

func (d *decoder) nextDiff() (uint32, error) {
	c := d.column[known]
	if len(c) == 0 {
		return 0, fmt.Errorf("%w: column %d ends too early", ErrMalformed, known)
	}
	place := c[0]
	d.column[known] = c[1:]
	if place != fresh {
		if int(place) >= d.recent.n {
			return 0, fmt.Errorf("%w: recent difference %d of %d", ErrMalformed, place, d.recent.n)
		}
		return d.take(place), nil
	}
	diff, err := d.signed(differs)
	d.recent.add(uint32(diff))
	return uint32(diff), err
}

// output counts and hashes what is written.
type output struct {
	w    *bufio.Writer
	hash hash.Hash
	left int64
}

func newOutput(w io.Writer, size int64) output {
	return output{w: bufio.NewWriterSize(w, 256<<10), hash: sha256.New(), left: size}
}

// write writes b, which is not more than what is left.
func (o *output) write(b []byte) error {
	o.left -= int64(len(b))
	o.hash.Write(b)
	_, err := o.w.Write(b)
	return err
}

// close writes what it holds back, if all of it has the digest want.
func (o *output) close(want release.Digest) error {
	if got := release.Digest(o.hash.Sum(nil)); got != want {
		return fmt.Errorf("%w: %v, not %v", ErrDigest, got, want)
	}
	return o.w.Flush()
}

// capped reads at most left bytes; what is beyond them is an error.
type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(b []byte) (int, error) {
	if c.left <= 0 {
		var one [1]byte
		if n, err := io.ReadFull(c.r, one[:]); n == 0 {
			return 0, err
		}
		return 0, ErrTooLarge
	}
	n, err := c.r.Read(b[:min(int64(len(b)), c.left)])
	c.left -= int64(n)
	return n, err
}
