package delta

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Options are how a patch is made. The zero value is good; none of it changes a byte of the patch.
type Options struct {
	Parallel int // goroutines that search; default GOMAXPROCS
}

const (
	// segment is how much of the new file one search looks at. It is a constant so that the patch does not depend on the machine.
	segment = 4 << 20
	// fullFrame is the size at which a frame is closed; one more piece fits.
	fullFrame = 2 << 20
	// piece is how much one step adds or brings at most.
	piece = 256 << 10
)

// Encode writes to w the patch that makes new from old. The same input gives the same bytes. It needs about nine bytes of memory for each byte of
// old and two for each of new while it runs; files are at most 2 GiB. When ctx ends, it stops within seconds.
func Encode(ctx context.Context, w io.Writer, old, new []byte, o Options) error {
	if len(old) > math.MaxInt32 || len(new) > math.MaxInt32 {
		return fmt.Errorf("make delta: %w: more than 2 GiB", ErrTooLarge)
	}
	h := header{fromSize: int64(len(old)), toSize: int64(len(new)), from: sha256.Sum256(old), to: sha256.Sum256(new)}
	if _, err := w.Write(h.bytes()); err != nil {
		return fmt.Errorf("make delta: %w", err)
	}
	found, err := search(ctx, old, new, o)
	if err != nil {
		return fmt.Errorf("make delta: %w", err)
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1),
		zstd.WithSingleSegment(true), zstd.WithEncoderCRC(false))
	if err != nil {
		return fmt.Errorf("make delta: %w", err)
	}
	defer z.Close()
	e := encoder{w: w, z: z, old: old}
	at := 0
	for _, m := range append(found, match{new: len(new)}) {
		if err := e.extra(new[at:m.new]); err != nil {
			return fmt.Errorf("make delta: %w", err)
		}
		at = m.new + m.length
		if err := e.add(m.old, new[m.new:at]); err != nil {
			return fmt.Errorf("make delta: %w", err)
		}
	}
	if err := e.close(); err != nil {
		return fmt.Errorf("make delta: %w", err)
	}
	return nil
}

// search finds what of new resembles old, a segment in each goroutine.
func search(ctx context.Context, old, new []byte, o Options) ([]match, error) {
	if o.Parallel <= 0 {
		o.Parallel = runtime.GOMAXPROCS(0)
	}
	x := newIndex(old)
	found := make([][]match, (len(new)+segment-1)/segment)
	turn := make(chan struct{}, o.Parallel)
	var all sync.WaitGroup
	for i := range found {
		turn <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			found[i] = x.matches(new, i*segment, min((i+1)*segment, len(new)))
			<-turn
		})
	}
	all.Wait()
	return slices.Concat(found...), ctx.Err()
}

// encoder turns pieces of the new file, in order, into steps and frames.
type encoder struct {
	w   io.Writer
	z   *zstd.Encoder
	old []byte
	frame
	step step
	at   int // in old, after the last step
	gap  int // bytes since the last fix
	recent
}

// extra is a piece that is new.
func (e *encoder) extra(b []byte) error {
	for p := range slices.Chunk(b, piece) {
		e.column[extras] = append(e.column[extras], p...)
		e.step.extra += int64(len(p))
		if err := e.full(); err != nil {
			return err
		}
	}
	return nil
}

// add is a piece that resembles what stands at from in old.
func (e *encoder) add(from int, b []byte) error {
	for p := range slices.Chunk(b, piece) {
		e.endStep()
		e.step.seek = int64(from - e.at)
		e.step.add = int64(len(p))
		e.fix(e.old[from:from+len(p)], p)
		from += len(p)
		e.at = from
		if err := e.full(); err != nil {
			return err
		}
	}
	return nil
}

// fix writes where new differs from old, and by how much.
func (e *encoder) fix(old, new []byte) {
	for i := 0; i < len(new); {
		same := common(old[i:], new[i:])
		i += same
		e.gap += same
		if i == len(new) {
			return
		}
		n := min(wide, len(new)-i)
		d := word(new[i:i+n]) - word(old[i:i+n])
		e.column[gaps] = binary.AppendUvarint(e.column[gaps], uint64(e.gap))
		place := e.find(d)
		e.column[known] = append(e.column[known], place)
		if place == fresh {
			e.column[differs] = binary.AppendVarint(e.column[differs], int64(int32(d)))
			e.recent.add(d)
		} else {
			e.take(place)
		}
		e.gap = 0
		i += n
	}
}

func (e *encoder) endStep() {
	if e.step == (step{}) {
		return
	}
	c := e.column[steps]
	c = binary.AppendVarint(c, e.step.seek)
	c = binary.AppendUvarint(c, uint64(e.step.add))
	c = binary.AppendUvarint(c, uint64(e.step.extra))
	e.column[steps] = c
	e.made += e.step.add + e.step.extra
	e.step = step{}
}

// full closes the frame if it is.
func (e *encoder) full() error {
	if e.size() < fullFrame {
		return nil
	}
	return e.close()
}

func (e *encoder) close() error {
	e.endStep()
	if e.made == 0 {
		return nil
	}
	err := e.frame.write(e.w, e.z)
	e.gap = 0
	e.reset()
	return err
}
