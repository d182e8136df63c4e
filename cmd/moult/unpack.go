package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/archive"
)

var errArchive = errors.New("bad archive")

// unpack writes the one program of that name in an archive to a private file and returns its path. An archive may come from a build machine
// that somebody else runs, and is as hostile as one from the network: package archive reads it.
func (b *bundle) unpack(file, format, name string) (string, error) {
	f := release.Format(format)
	switch f {
	case "tgz":
		f = archive.TarGzip
	case archive.TarGzip, archive.Tar, archive.Zip, archive.Gzip:
	default:
		return "", fmt.Errorf("%w: format %q; moult reads tar.gz, tgz, tar, zip, gz and bare binaries", errArchive, format)
	}
	out, err := b.tempFile(name)
	if err != nil {
		return "", err
	}
	err = decodeTo(out, file, release.Decoding{Format: f, Member: name})
	if errors.Is(err, archive.ErrNoMember) && !strings.HasSuffix(name, ".exe") { // as programs for Windows are called
		err = decodeTo(out, file, release.Decoding{Format: f, Member: name + ".exe"})
	}
	if err != nil {
		return out, fmt.Errorf("%w: %w", errArchive, err)
	}
	return out, nil
}

func decodeTo(out, file string, d release.Decoding) (err error) {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	d.Size = info.Size()
	w, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o700)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	return release.Decode(w, in, d)
}
