package tuf

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/payload"
)

// maxExecutable is the longest executable, in bytes, that can be published: it is held in memory.
const maxExecutable int64 = 2 << 30

// store puts an executable into the repository, unless check refuses its digest. Nothing refers to it yet.
func (r *Repository) store(ctx context.Context, q PublishRequest, f File, report *reporter, check func(release.Digest) error) (release.Artifact, error) {
	b, err := readExecutable(ctx, f.Path)
	if err != nil {
		return release.Artifact{}, err
	}
	a := release.Artifact{Length: int64(len(b)), SHA256: sha256.Sum256(b)}
	if err := check(a.SHA256); err != nil {
		return a, err
	}
	a.Full, err = r.storeFull(ctx, r.payloadPath(q.Version, f.Platform), b, q.Uncompressed, report)
	return a, errors.Join(err, a.Check())
}

func readExecutable(ctx context.Context, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(contextReader{ctx, f}, maxExecutable+1))
	if err != nil {
		return nil, err
	}
	switch {
	case len(b) == 0:
		return nil, errors.New("an empty file")
	case int64(len(b)) > maxExecutable:
		return nil, fmt.Errorf("more than %d bytes: %w", maxExecutable, ErrOversized)
	}
	return b, nil
}

// payloadPath is that of a raw executable; others add a suffix.
func (r *Repository) payloadPath(v release.Version, p release.Platform) string {
	name := r.feed.App + "-" + p.FileName()
	if p.OS == "windows" {
		name += ".exe"
	}
	// "+" is a space to some object stores.
	return strings.ReplaceAll(v.String(), "+", "~") + "/" + name
}

// storeFull stores the whole executable: as zstd, unless that is not wanted or makes it no smaller.
func (r *Repository) storeFull(ctx context.Context, path string, b []byte, uncompressed bool, report *reporter) (release.Payload, error) {
	raw := release.Payload{Path: path, Format: release.Raw}
	if uncompressed {
		return r.storePayload(ctx, raw, b)
	}
	var z bytes.Buffer
	err := payload.Compress(ctx, &z, b, func(done int64) {
		report.tell(Progress{Stage: StageCompress, File: path[strings.LastIndexByte(path, '/')+1:], Done: done, Total: int64(len(b))})
	})
	if err != nil {
		return raw, fmt.Errorf("compress: %w", err)
	}
	if z.Len() >= len(b) {
		return r.storePayload(ctx, raw, b)
	}
	return r.storePayload(ctx, release.Payload{Path: path + ".zst", Format: release.Zstd}, z.Bytes())
}

// storePayload writes a payload's file under the name that its digest gives it.
func (r *Repository) storePayload(ctx context.Context, p release.Payload, b []byte) (release.Payload, error) {
	p.Length, p.SHA256 = int64(len(b)), sha256.Sum256(b)
	return p, r.writeFile(ctx, r.targetPath(p.Path, p.SHA256), b)
}
