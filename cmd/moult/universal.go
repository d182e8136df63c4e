package main

import (
	"debug/macho"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/moult-go/moult/release"
)

// splitAll replaces each universal macOS program by its halves.
func (b *bundle) splitAll(list []program) (out []program, err error) {
	for _, p := range list {
		halves, err := b.split(p)
		if err != nil {
			return nil, err
		}
		out = append(out, halves...)
	}
	return out, nil
}

// split cuts a universal macOS program into one for each processor: a host has use for one of them only, and each carries a signature of
// its own. Any other program is returned as it is.
func (b *bundle) split(p program) ([]program, error) {
	f, err := os.Open(p.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fat, err := macho.NewFatFile(f)
	if err != nil {
		if p.platform.Arch == allArchs {
			return nil, fmt.Errorf("%s: %w: it is said to be universal and is not", p.origin, errFormat)
		}
		return []program{p}, nil // inspect says what is wrong with it, if anything is
	}
	var out []program
	for _, a := range fat.Arches {
		arch := machoArchs[a.Cpu]
		if arch == "" {
			return nil, fmt.Errorf("%s: %w: a part for processor %s", p.origin, errFormat, a.Cpu)
		}
		half := program{origin: p.origin + ": " + arch, platform: release.Platform{OS: "darwin", Arch: arch}}
		if half.path, err = b.cut(f, int64(a.Offset), int64(a.Size), filepath.Base(p.path)); err != nil {
			return nil, fmt.Errorf("%s: %w", half.origin, err)
		}
		out = append(out, half)
	}
	b.note("%s is universal: each Mac gets the half for its own processor", p.origin)
	return out, nil
}

// cut copies a part of f to a private file.
func (b *bundle) cut(f io.ReaderAt, offset, size int64, name string) (string, error) {
	path, err := b.tempFile(name)
	if err != nil {
		return "", err
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return "", err
	}
	n, err := io.Copy(out, io.NewSectionReader(f, offset, size))
	if err == nil && n < size {
		err = fmt.Errorf("%w: it ends after %d of %d bytes", errFormat, n, size)
	}
	return path, errors.Join(err, out.Close())
}
