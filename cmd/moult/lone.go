package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/archive"
	"github.com/moult-go/moult/updater/assets"
)

// A lone file is an executable, an archive of one, or a file of checksums that speaks for several. What a signature says of it differs.

// sumsOf returns the checksums in a file that is called as such files are.
func sumsOf(path string) (assets.Checksums, error) {
	if !assets.IsChecksums(filepath.Base(path)) {
		return nil, nil
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() > assets.MaxChecksums {
		err = fmt.Errorf("%s: %w: %d bytes", path, errFormat, info.Size())
	}
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	sums, err := assets.ParseChecksums(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, errFormat, err)
	}
	return sums, nil
}

// checkSums compares what a file of checksums says with the files that lie beside it: what is signed vouches for them.
func checkSums(path string, sums assets.Checksums) error {
	for name, want := range sums {
		got, _, err := release.DigestFile(filepath.Join(filepath.Dir(path), name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // signed where the files are not
		}
		if err == nil && got != want {
			err = fmt.Errorf("%w: %s says sha256 %s of %s, the file has %s", errChecksum, path, want.Short(), name, got.Short())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inspectLone is inspect for an executable or the one of that name in an archive.
func inspectLone(ctx context.Context, path, program string) (executable, error) {
	format := archive.FormatOf(path)
	if format == release.Raw {
		return inspect(path)
	}
	dir, err := os.MkdirTemp("", "moult-*")
	if err != nil {
		return executable{}, err
	}
	defer os.RemoveAll(dir)
	for _, member := range []string{program, program + ".exe"} {
		if ctx.Err() != nil {
			return executable{}, ctx.Err()
		}
		out := filepath.Join(dir, member)
		if err = unpackTo(out, path, format, member); err == nil {
			x, err := inspect(out)
			if err != nil {
				return x, fmt.Errorf("%s: %w", path, err)
			}
			x.path = path
			return x, nil
		}
	}
	return executable{}, fmt.Errorf("%s: %w", path, err)
}

func unpackTo(out, path string, format release.Format, member string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = release.Decode(f, in, release.Decoding{Format: format, Size: info.Size(), Member: member})
	return errors.Join(err, f.Close())
}
