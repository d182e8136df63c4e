package delta

import (
	"bytes"
	"fmt"
	"io"
)

// maxHeld is the most bytes of an old file that are held in memory because it cannot be read at any place.
const maxHeld = 256 << 20

// Patcher is Decode in the shape that minio/selfupdate wants of a patcher.
type Patcher struct {
	Limits
}

// Patch writes to new what patch makes of old. An old file that is an io.ReaderAt and io.Seeker, as *os.File is, is read in place from where
// it stands; any other is held in memory, up to 256 MiB.
func (p Patcher) Patch(old io.Reader, new io.Writer, patch io.Reader) error {
	at, size, err := readerAt(old, maxHeld)
	if err != nil {
		return fmt.Errorf("apply delta: read the old file: %w", err)
	}
	return Decode(new, at, size, patch, p.Limits)
}

// readerAt gives access to any place of what r has to come: in place if it can be, else from memory, if it is not more than most bytes.
func readerAt(r io.Reader, most int64) (io.ReaderAt, int64, error) {
	if at, ok := r.(interface {
		io.ReaderAt
		io.Seeker
	}); ok {
		if from, size, err := rest(at); err == nil {
			return io.NewSectionReader(at, from, size), size, nil
		}
	}
	b, err := io.ReadAll(&capped{r: r, left: most})
	if err != nil {
		return nil, 0, err
	}
	return bytes.NewReader(b), int64(len(b)), nil
}

// rest returns where s stands and how much follows.
func rest(s io.Seeker) (from, size int64, err error) {
	if from, err = s.Seek(0, io.SeekCurrent); err != nil {
		return 0, 0, err
	}
	end, err := s.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, 0, err
	}
	_, err = s.Seek(from, io.SeekStart)
	return from, end - from, err
}
