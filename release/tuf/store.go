package tuf

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strings"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/payload"
)

// maxExecutable is the longest executable, in bytes, that can be published: it is held in memory.
const maxExecutable int64 = 2 << 30

// stored is an executable that was put into the repository. Nothing refers to it yet.
type stored struct {
	release.Artifact
	path string // of the raw payload, whatever the format of this one
	body []byte
}

// storeAll puts the executables of a request into the repository.
func (r *Repository) storeAll(ctx context.Context, q PublishRequest, indexes map[string]*release.Index, report *reporter) ([]stored, error) {
	all := make([]stored, len(q.Files))
	err := sideBySide(runtime.GOMAXPROCS(0), len(q.Files), func(i int) (err error) {
		if all[i], err = r.store(ctx, q, q.Files[i], indexes, report); err != nil {
			err = fmt.Errorf("%s: %w", q.Files[i].Path, err)
		}
		return err
	})
	return all, err
}

func (r *Repository) store(ctx context.Context, q PublishRequest, f File, indexes map[string]*release.Index, report *reporter) (stored, error) {
	b, err := readExecutable(ctx, f.Path)
	if err != nil {
		return stored{}, err
	}
	s := stored{path: r.payloadPath(q.Version, f.Platform), body: b}
	s.Artifact = release.Artifact{Length: int64(len(b)), SHA256: sha256.Sum256(b), Module: f.Module}
	if err := f.check(indexes, q, s.SHA256); err != nil {
		return s, err
	}
	s.Full, err = r.storeFull(ctx, s.path, b, q.Uncompressed, report)
	return s, errors.Join(err, s.Check())
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
func (r *Repository) storeFull(ctx context.Context, rawPath string, b []byte, uncompressed bool, report *reporter) (release.Payload, error) {
	raw := release.Payload{Path: rawPath, Format: release.Raw}
	if uncompressed {
		return r.storePayload(ctx, raw, b)
	}
	var z bytes.Buffer
	err := payload.Compress(ctx, &z, b, func(done int64) {
		report.tell(Progress{Stage: StageCompress, File: path.Base(rawPath), Done: done, Total: int64(len(b))})
	})
	if err != nil {
		return raw, fmt.Errorf("compress: %w", err)
	}
	if z.Len() >= len(b) {
		return r.storePayload(ctx, raw, b)
	}
	return r.storePayload(ctx, release.Payload{Path: rawPath + ".zst", Format: release.Zstd}, z.Bytes())
}

// storePayload writes a payload's file under the name that its digest gives it.
func (r *Repository) storePayload(ctx context.Context, p release.Payload, b []byte) (release.Payload, error) {
	p.Length, p.SHA256 = int64(len(b)), sha256.Sum256(b)
	return p, r.writeFile(ctx, r.targetPath(p.Path, p.SHA256), b)
}
