package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/moult-go/moult/release"
	_ "github.com/moult-go/moult/release/payload" // its formats
	"github.com/moult-go/moult/release/tuf"
)

// offers brings what a feed offers into a directory as a host would: fetched, verified, decoded, verified again.
type offers struct {
	client *tuf.Client
	dir    string
	show   func(tuf.Progress)
	known  map[release.Digest]release.Artifact // of all indexes
	files  map[release.Digest]string           // decoded already
}

const stageVerify tuf.Stage = "verify"

func newOffers(c *tuf.Client, dir string, show func(tuf.Progress)) *offers {
	return &offers{client: c, dir: dir, show: show, known: map[release.Digest]release.Artifact{}, files: map[release.Digest]string{}}
}

// learn notes what an index lists, so that deltas find the executables that they start from.
func (x *offers) learn(ix *release.Index) {
	for _, r := range ix.Releases {
		x.known[r.Artifact.SHA256] = r.Artifact
	}
}

// full makes an executable from its full payload and returns its file. Each is made once.
func (x *offers) full(ctx context.Context, a release.Artifact) (string, error) {
	if file := x.files[a.SHA256]; file != "" {
		return file, nil
	}
	file := filepath.Join(x.dir, a.SHA256.String())
	out, err := os.Create(file)
	if err != nil {
		return "", err
	}
	defer out.Close()
	if err := x.decode(ctx, out, a.Full, a.Decoding()); err != nil {
		return "", err
	}
	x.files[a.SHA256] = file
	return file, nil
}

// deltas applies the deltas of an artifact to the executables that they start from, as far as the feed still has those, and
// returns how many were.
func (x *offers) deltas(ctx context.Context, a release.Artifact) (n int, err error) {
	for _, d := range a.Deltas {
		from, ok := x.known[d.From]
		if !ok {
			continue
		}
		file, err := x.full(ctx, from)
		if err != nil {
			return n, fmt.Errorf("what a delta starts from: %w", err)
		}
		if err := x.apply(ctx, a, d, file); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (x *offers) apply(ctx context.Context, a release.Artifact, d release.Delta, base string) error {
	f, err := os.Open(base)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return x.decode(ctx, io.Discard, d.Payload, a.DecodingFrom(d, f, info.Size()))
}

func (x *offers) decode(ctx context.Context, w io.Writer, p release.Payload, d release.Decoding) error {
	file, err := os.CreateTemp(x.dir, "payload-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	progress := tuf.Progress{Stage: stageVerify, File: path.Base(p.Path), Total: p.Length}
	x.show(progress)
	if err := x.client.Fetch(ctx, p, file); err != nil {
		return err
	}
	if err := release.Decode(w, file, d); err != nil {
		return fmt.Errorf("payload %s: %w", p.Path, err)
	}
	progress.Done = p.Length
	x.show(progress)
	return nil
}
