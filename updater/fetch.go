package updater

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"

	"github.com/moult-go/moult/release"
)

// fetch brings one payload of c into the private download directory: no more than its signed length, and
// verified before anything else opens it. The caller removes the file.
func (u *Updater) fetch(ctx context.Context, r Request, c Candidate, p way) (string, error) {
	name := "download/" + p.SHA256.Short() + ".part"
	f, err := createFresh(u.root, name, 0o600)
	if err != nil {
		return "", diskError(err, "fetch version %s", c.Version)
	}
	w := &download{
		f:    f,
		hash: sha256.New(),
		left: p.Length,
		note: func(done int64) {
			r.event(Event{Phase: PhaseFetch, Version: c.Version.String(), Done: done, Total: p.Length})
		},
	}
	r.event(Event{Phase: PhaseFetch, Version: c.Version.String(), Total: p.Length, Message: p.what()})
	u.step("fetch")
	err = u.o.Source.Fetch(ctx, u.query(), p.Payload, w)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err = u.fetched(ctx, c, p, w, err); err != nil {
		u.root.Remove(name)
		return "", err
	}
	u.step("fetched")
	return filepath.Join(u.dir, name), nil
}

// fetched judges a download. What we found ourselves counts before what the source said.
func (u *Updater) fetched(ctx context.Context, c Candidate, p way, w *download, err error) error {
	switch {
	case w.err != nil:
		return w.err
	case err != nil:
		return asError(ctx, fmt.Errorf("fetch version %s from %s: %w", c.Version, u.o.Source, err), Temporary, "network")
	case w.left > 0:
		return fail(Verification, "truncated", "fetch version %s: %d of %d bytes", c.Version, p.Length-w.left, p.Length)
	}
	if d := release.Digest(w.hash.Sum(nil)); d != p.SHA256 {
		return fail(Verification, "digest-mismatch", "fetch version %s: sha256 is %s, want %s", c.Version, d, p.SHA256)
	}
	return nil
}

// verifySignature reads a payload that is signed as a file, before anything is made of it. What its signature says was the
// source's to judge; it is held against the candidate once more.
func (u *Updater) verifySignature(c Candidate, p way, payload string) error {
	m := c.Minisign
	if m == nil || p.isDelta() {
		return nil
	}
	f, err := u.root.Open("download/" + filepath.Base(payload))
	if err != nil {
		return fail(Failed, "io", "verify version %s: %w", c.Version, err)
	}
	defer f.Close()
	said, err := release.VerifyMinisign(m.PublicKey, []byte(m.Signature), f)
	switch {
	case errors.Is(err, release.ErrBadComment):
		return fail(Verification, "bad-comment", "verify version %s: %w", c.Version, err)
	case err != nil:
		return fail(Verification, "bad-signature", "verify version %s: %w", c.Version, err)
	case said.App != u.o.Name:
		return fail(Verification, "wrong-app", "verify version %s: it is signed for %s, and this is %s", c.Version, said.App, u.o.Name)
	case said.Version.Compare(c.Version) != 0 || said.Platform != c.Platform:
		return fail(Verification, "bad-comment", "verify version %s: it is signed as version %s for %s", c.Version, said.Version, said.Platform)
	}
	return nil
}

// download counts, hashes and bounds what a Source writes.
type download struct {
	f     *os.File
	hash  hash.Hash
	left  int64
	done  int64
	noted int64
	note  func(done int64)
	err   error
}

// noteEvery is the number of bytes between two events of progress.
const noteEvery = 1 << 18

func (w *download) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if int64(len(p)) > w.left {
		w.err = fail(Verification, "too-long", "the download is longer than the %d bytes that were signed", w.done+w.left)
		return 0, w.err
	}
	n, err := w.f.Write(p)
	w.hash.Write(p[:n])
	w.left -= int64(n)
	w.done += int64(n)
	if w.done-w.noted >= noteEvery || w.left == 0 {
		w.noted = w.done
		w.note(w.done)
	}
	if err != nil {
		w.err = diskError(err, "write the download")
		return n, w.err
	}
	return n, nil
}
