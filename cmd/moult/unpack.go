package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// An archive may come from a build machine that somebody else runs, and is treated as hostile: nothing of it but one program is
// written, to a name of ours, and every size is bounded before it is read.
const (
	maxArchive  = 1 << 30 // bytes of an archive
	maxProgram  = 1 << 30 // bytes of a program in it
	maxUnpacked = 4 << 30 // bytes of all that is in it, which has to be passed over
	maxEntries  = 10_000
	maxZipIndex = 8 << 20 // bytes that opening a zip archive may read
)

var errArchive = errors.New("bad archive")

// unpack writes the one program of that name in an archive to a private file and returns its path.
func (b *bundle) unpack(archive, format, name string) (string, error) {
	f, err := os.Open(archive)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() > maxArchive {
		return "", errors.Join(fmt.Errorf("%w: larger than %d bytes", errArchive, maxArchive), err)
	}
	out, err := b.tempFile(name)
	if err != nil {
		return "", err
	}
	u := &unpacker{name: name, out: out}
	switch format {
	case "tar.gz", "tgz":
		err = u.tarGzip(f)
	case "tar":
		err = u.tar(f)
	case "zip":
		err = u.zip(f)
	case "gz":
		err = u.gzip(f)
	default:
		return "", fmt.Errorf("%w: format %q; moult reads tar.gz, tgz, tar, zip, gz and bare binaries", errArchive, format)
	}
	if err == nil && !u.found {
		err = fmt.Errorf("%w: there is no %s in it", errArchive, name)
	}
	return out, err
}

// unpacker looks for one program.
type unpacker struct {
	name    string // without ".exe"
	out     string
	entries int
	found   bool
}

// entry says whether the entry of that name and mode is the program.
func (u *unpacker) entry(name string, mode fs.FileMode) (bool, error) {
	if u.entries++; u.entries > maxEntries {
		return false, fmt.Errorf("%w: more than %d entries", errArchive, maxEntries)
	}
	clean := path.Clean(strings.TrimSuffix(name, "/"))
	if !filepath.IsLocal(filepath.FromSlash(clean)) || strings.ContainsAny(name, "\\\x00") {
		return false, fmt.Errorf("%w: entry %.200q would be written elsewhere", errArchive, name)
	}
	if strings.TrimSuffix(path.Base(clean), ".exe") != u.name || mode.IsDir() {
		return false, nil
	}
	switch {
	case u.found:
		return false, fmt.Errorf("%w: a second %s in it: %.200q", errArchive, u.name, name)
	case !mode.IsRegular():
		return false, fmt.Errorf("%w: %.200q is no regular file", errArchive, name)
	case mode&(fs.ModeSetuid|fs.ModeSetgid) != 0:
		return false, fmt.Errorf("%w: %.200q is setuid or setgid", errArchive, name)
	}
	u.found = true
	return true, nil
}

// write copies the program out, which says that it has so many bytes; -1 if it does not say.
func (u *unpacker) write(r io.Reader, says int64) (err error) {
	if says > maxProgram {
		return fmt.Errorf("%w: a program of %d bytes, more than %d", errArchive, says, maxProgram)
	}
	f, err := os.OpenFile(u.out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n, err := io.Copy(f, io.LimitReader(r, maxProgram+1))
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errArchive, err)
	case n > maxProgram || says >= 0 && n != says:
		return fmt.Errorf("%w: the program has %d bytes, %d were announced, at most %d are allowed", errArchive, n, says, maxProgram)
	}
	return nil
}

func (u *unpacker) tarGzip(r io.Reader) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("%w: %w", errArchive, err)
	}
	return u.tar(z)
}

func (u *unpacker) tar(r io.Reader) error {
	limited := &io.LimitedReader{R: r, N: maxUnpacked}
	t := tar.NewReader(limited)
	for {
		h, err := t.Next()
		switch {
		case limited.N <= 0:
			return fmt.Errorf("%w: more than %d bytes in it", errArchive, int64(maxUnpacked))
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%w: %w", errArchive, err)
		}
		mode := h.FileInfo().Mode()
		if h.Typeflag == tar.TypeLink {
			mode |= fs.ModeIrregular // a second name of another entry
		}
		ok, err := u.entry(h.Name, mode)
		if ok {
			err = u.write(t, h.Size)
		}
		if err != nil {
			return err
		}
	}
}

func (u *unpacker) zip(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	index := &meter{r: f, left: maxZipIndex}
	z, err := zip.NewReader(index, info.Size())
	if err != nil {
		return fmt.Errorf("%w: %w", errArchive, err)
	}
	index.left = -1
	for _, e := range z.File {
		ok, err := u.entry(e.Name, e.Mode())
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if e.UncompressedSize64 > maxProgram {
			return fmt.Errorf("%w: a program of %d bytes, more than %d", errArchive, e.UncompressedSize64, maxProgram)
		}
		r, err := e.Open()
		if err != nil {
			return fmt.Errorf("%w: %w", errArchive, err)
		}
		err = u.write(r, int64(e.UncompressedSize64))
		if err := errors.Join(err, r.Close()); err != nil {
			return err
		}
	}
	return nil
}

// gzip takes the one file that there is.
func (u *unpacker) gzip(r io.Reader) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("%w: %w", errArchive, err)
	}
	u.found = true
	return u.write(z, -1)
}

// meter bounds what zip.NewReader reads: it keeps every entry of the index in memory. A negative rest is no bound.
type meter struct {
	r    io.ReaderAt
	left int64
}

func (m *meter) ReadAt(p []byte, off int64) (int, error) {
	if m.left >= 0 {
		if m.left -= int64(len(p)); m.left < 0 {
			m.left = 0
			return 0, fmt.Errorf("an index of more than %d bytes", maxZipIndex)
		}
	}
	return m.r.ReadAt(p, off)
}
