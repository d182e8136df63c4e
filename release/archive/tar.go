package archive

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"

	"github.com/moult-go/moult/release"
)

// decodeTarGzip reads the archive once, from its beginning to its end, and holds little more than gzip's window.
func decodeTarGzip(w io.Writer, payload io.Reader, d release.Decoding) error {
	z, err := gzip.NewReader(payload)
	if err != nil {
		return err
	}
	return decodeTar(w, z, d)
}

func decodeTar(w io.Writer, payload io.Reader, d release.Decoding) error {
	s := &search{name: d.Member}
	all := &bounded{payload, room(d)}
	t := tar.NewReader(all)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			if _, err := io.Copy(io.Discard, all); err != nil { // gzip's own checksum stands at its end
				return err
			}
			return s.end()
		}
		if err != nil {
			return err
		}
		mode := h.FileInfo().Mode()
		if h.Typeflag != tar.TypeReg && mode.IsRegular() {
			mode |= fs.ModeIrregular // a second name of another member, or a sparse file
		}
		ok, err := s.take(h.Name, mode)
		if ok {
			err = write(w, t, h.Size)
		}
		if err != nil {
			return err
		}
	}
}

func decodeGzip(w io.Writer, payload io.Reader, _ release.Decoding) error {
	z, err := gzip.NewReader(payload)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, z)
	return err
}

// room is how much a whole archive may unpack to. Where the executable is known, what lies beside it may be as much as if it were not.
func room(d release.Decoding) int64 {
	return d.Most() + release.Decoding{Member: d.Member, Size: d.Size}.Most()
}
