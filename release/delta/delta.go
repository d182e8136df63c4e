package delta

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/moult-go/moult/release"
)

var (
	// ErrWrongBase: the patch makes the file from another one than this.
	ErrWrongBase = errors.New("the patch is for another file")
	// ErrMalformed: the patch breaks off, or says what cannot be.
	ErrMalformed = errors.New("malformed patch")
	// ErrTooLarge: the patch, or what it would make, is larger than the limits.
	ErrTooLarge = errors.New("larger than allowed")
	// ErrUnsupported: the patch has a format version or a transform that this version does not know.
	ErrUnsupported = errors.New("unsupported patch")
	// ErrDigest: what the patch makes is not the file that was asked for.
	ErrDigest = errors.New("the result has another digest")
)

// Limits are what signed metadata say of a patch. All are needed: a patch that says otherwise is refused before anything is allocated.
type Limits struct {
	Patch int64          // bytes of the patch, at most
	New   int64          // bytes of the file that it makes, exactly
	From  release.Digest // of the file that it starts from
	To    release.Digest // of the file that it makes
}

// Transform is how an image is predicted from the old file, before the difference is taken.
type Transform byte

const (
	None    Transform = 0 // the old file itself
	goAMD64 Transform = 1 // reserved: what a Go linker for amd64 moved is moved first
	goARM64 Transform = 2 // reserved: the same for arm64
)

// predict returns the image that the steps of a patch refer to.
func (t Transform) predict(old io.ReaderAt, size int64) (io.ReaderAt, int64, error) {
	switch t {
	case None:
		return old, size, nil
	case goAMD64, goARM64:
		return nil, 0, fmt.Errorf("%w: transform %d is reserved", ErrUnsupported, t)
	}
	return nil, 0, fmt.Errorf("%w: unknown transform %d", ErrUnsupported, t)
}

const (
	magic      = "\x89moult\xce\x94" // not text, and no other file's beginning
	version    = 1
	headerSize = 92
)

// header is the beginning of a container.
type header struct {
	transform        Transform
	fromSize, toSize int64
	from, to         release.Digest
}

func (h header) bytes() []byte {
	b := make([]byte, 0, headerSize)
	b = append(b, magic...)
	b = append(b, version, byte(h.transform), 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.fromSize))
	b = append(b, h.from[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.toSize))
	return append(b, h.to[:]...)
}

func readHeader(r io.Reader) (h header, err error) {
	var b [headerSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return h, fmt.Errorf("header: %w", broken(err))
	}
	switch {
	case string(b[:len(magic)]) != magic:
		return h, fmt.Errorf("%w: not a delta", ErrMalformed)
	case b[8] != version:
		return h, fmt.Errorf("%w: format version %d", ErrUnsupported, b[8])
	case b[10] != 0 || b[11] != 0:
		return h, fmt.Errorf("%w: reserved bytes are set", ErrMalformed)
	}
	h.transform = Transform(b[9])
	h.fromSize = int64(binary.LittleEndian.Uint64(b[12:]))
	copy(h.from[:], b[20:])
	h.toSize = int64(binary.LittleEndian.Uint64(b[52:]))
	copy(h.to[:], b[60:])
	if h.fromSize < 0 || h.toSize < 0 {
		return h, fmt.Errorf("%w: size beyond 63 bits", ErrMalformed)
	}
	return h, nil
}

// agrees returns an error unless the header says what the limits do.
func (h header) agrees(max Limits, oldSize int64) error {
	switch {
	case h.from != max.From || h.fromSize != oldSize:
		return fmt.Errorf("%w: from %v of %d bytes", ErrWrongBase, h.from, h.fromSize)
	case h.toSize > max.New:
		return fmt.Errorf("%w: it makes %d bytes, of %d", ErrTooLarge, h.toSize, max.New)
	case h.to != max.To:
		return fmt.Errorf("%w: it makes %v", ErrDigest, h.to)
	case h.toSize != max.New:
		return fmt.Errorf("%w: it makes %d bytes, not %d", ErrMalformed, h.toSize, max.New)
	}
	return nil
}

// broken is err for a patch that ends too early.
func broken(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: it ends too early", ErrMalformed)
	}
	return err
}
