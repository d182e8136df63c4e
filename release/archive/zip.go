package archive

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/moult-go/moult/release"
)

// maxIndex is how many bytes finding the members may read: package zip holds all of them in memory.
const maxIndex = 4 << 20

// decodeZip wants a payload that can be read anywhere, as a file can: the list of members stands at its end.
func decodeZip(w io.Writer, payload io.Reader, d release.Decoding) error {
	at, ok := payload.(io.ReaderAt)
	if !ok {
		return errors.New("a zip archive has to be a file")
	}
	index := &meter{r: at, left: maxIndex}
	z, err := zip.NewReader(index, d.Size)
	if err != nil {
		return err
	}
	index.left = math.MaxInt64
	s := &search{name: d.Member}
	for _, m := range z.File {
		ok, err := s.take(m.Name, m.Mode())
		if ok {
			err = writeMember(w, m)
		}
		if err != nil {
			return err
		}
	}
	return s.end()
}

func writeMember(w io.Writer, m *zip.File) error {
	if m.UncompressedSize64 > math.MaxInt64 {
		return fmt.Errorf("a member of %d bytes", m.UncompressedSize64)
	}
	r, err := m.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	return write(w, r, int64(m.UncompressedSize64))
}

// meter bounds what is read.
type meter struct {
	r    io.ReaderAt
	left int64
}

func (m *meter) ReadAt(p []byte, off int64) (int, error) {
	if m.left -= int64(len(p)); m.left < 0 {
		return 0, fmt.Errorf("its list of members has more than %d bytes", maxIndex)
	}
	return m.r.ReadAt(p, off)
}
