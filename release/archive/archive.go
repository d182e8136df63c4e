package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/moult-go/moult/release"
)

// The formats of this package.
const (
	TarGzip release.Format = "tar.gz"
	Tar     release.Format = "tar"
	Zip     release.Format = "zip"
	Gzip    release.Format = "gz" // of the executable alone, whatever its name
)

func init() {
	release.RegisterFormat(TarGzip, decodeTarGzip)
	release.RegisterFormat(Tar, decodeTar)
	release.RegisterFormat(Zip, decodeZip)
	release.RegisterFormat(Gzip, decodeGzip)
}

// FormatOf returns the format of an archive by its name; release.Raw, if it is none that is known here.
func FormatOf(name string) release.Format {
	name = strings.ToLower(name)
	switch {
	case strings.HasSuffix(name, ".tar.gz"), strings.HasSuffix(name, ".tgz"):
		return TarGzip
	case strings.HasSuffix(name, ".zip"):
		return Zip
	}
	return release.Raw
}

const maxMembers = 10_000

// ErrNoMember says that the executable is not in the archive.
var ErrNoMember = errors.New("it is not in the archive")

// search looks for one executable among the members of an archive.
type search struct {
	name  string
	seen  int
	found bool
}

// take reports whether the member of that path and mode is the executable.
func (s *search) take(member string, mode fs.FileMode) (bool, error) {
	if s.seen++; s.seen > maxMembers {
		return false, fmt.Errorf("more than %d members", maxMembers)
	}
	clean := path.Clean(strings.TrimSuffix(member, "/"))
	if !filepath.IsLocal(filepath.FromSlash(clean)) || strings.ContainsAny(member, "\\\x00") {
		return false, fmt.Errorf("member %.200q leads out of the archive", member)
	}
	if path.Base(clean) != s.name || mode.IsDir() {
		return false, nil
	}
	switch {
	case s.found:
		return false, fmt.Errorf("a second %s: %.200q", s.name, member)
	case !mode.IsRegular():
		return false, fmt.Errorf("%.200q is no regular file", member)
	case mode&(fs.ModeSetuid|fs.ModeSetgid) != 0:
		return false, fmt.Errorf("%.200q is setuid or setgid", member)
	}
	s.found = true
	return true, nil
}

// end says what is missing when all members were seen.
func (s *search) end() error {
	if !s.found {
		return fmt.Errorf("%s: %w", s.name, ErrNoMember)
	}
	return nil
}

// write copies the executable out, which says that it has so many bytes.
func write(w io.Writer, r io.Reader, says int64) error {
	if g, ok := w.(interface{ Grow(int) }); ok && says > 0 && int64(int(says)) == says {
		g.Grow(int(says))
	}
	n, err := io.Copy(w, r)
	if err == nil && n != says {
		err = fmt.Errorf("%d bytes, and it says %d", n, says)
	}
	return err
}

// bounded ends with an error, and not as a file does, after so many bytes.
type bounded struct {
	r    io.Reader
	left int64
}

var errBomb = errors.New("more in it than an archive of this size may hold")

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errBomb
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
