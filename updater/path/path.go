package path

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/updater"
)

// DefaultInterval is the time between two looks.
const DefaultInterval = 5 * time.Second

// settle is how long a file that does not match its signature may still be one that is being written.
const settle = 3 * time.Second

// Source watches one file.
type Source struct {
	file, key string
}

// New returns the source that offers file if file.minisig is its signature by minisignKey: a public key as
// minisign writes it, with or without its comment line.
func New(file, minisignKey string) updater.Source { return &Source{file, minisignKey} }

// String names the file.
func (s *Source) String() string { return "path " + s.file }

// Interval is DefaultInterval.
func (s *Source) Interval() time.Duration { return DefaultInterval }

// Check offers what the signature names. No file, no offer.
func (s *Source) Check(ctx context.Context, q updater.Query) ([]updater.Candidate, error) {
	fi, err := os.Stat(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fail(updater.Temporary, "missing", "look at %s: %w", s.file, err)
	}
	if !fi.Mode().IsRegular() {
		return nil, fail(updater.Verification, "not-executable", "%s is not a regular file", s.file)
	}
	signature, err := s.signature()
	if err != nil {
		return nil, err
	}
	comment, err := release.AuthenticateComment(s.key, signature)
	if err != nil {
		return nil, fail(updater.Verification, reasonOf(err), "signature %s: %w", s.sidecar(), err)
	}
	if comment.App != q.App {
		return nil, fail(updater.Verification, "wrong-app", "signature %s: it is for %s, and this is %s", s.sidecar(), comment.App, q.App)
	}
	return []updater.Candidate{{
		Version:  comment.Version,
		Platform: comment.Platform,
		Length:   fi.Size(),
		Digest:   comment.SHA256,
		Channel:  q.Channel, // whoever dropped it here means it for this host
		Full:     release.Payload{Path: s.file, Length: fi.Size(), SHA256: comment.SHA256},
		Minisign: &updater.Minisign{PublicKey: s.key, Signature: string(signature)},
	}}, nil
}

func (s *Source) sidecar() string { return s.file + ".minisig" }

func (s *Source) signature() ([]byte, error) {
	if s.key == "" {
		return nil, fail(updater.Verification, "unsigned", "%s: no minisign key is configured to verify it with", s.file)
	}
	fi, err := os.Stat(s.sidecar())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fail(updater.Verification, "unsigned", "%s has no signature: %s is not there", s.file, s.sidecar())
	}
	if err == nil && (!fi.Mode().IsRegular() || fi.Size() > release.MaxSignatureSize) {
		return nil, fail(updater.Verification, "bad-signature", "signature %s: not a small regular file", s.sidecar())
	}
	var b []byte
	if err == nil {
		b, err = readCapped(s.sidecar())
	}
	if err != nil {
		return nil, fail(updater.Temporary, "missing", "read the signature: %w", err)
	}
	return b, nil
}

func readCapped(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, release.MaxSignatureSize+1))
}

func reasonOf(err error) string {
	if errors.Is(err, release.ErrBadComment) {
		return "bad-comment"
	}
	return "bad-signature"
}

// Fetch copies the file. What does not match its digest and was written a moment ago is taken for a copy
// under way, which says nothing about the build.
func (s *Source) Fetch(ctx context.Context, q updater.Query, p release.Payload, dst io.Writer) error {
	f, err := os.Open(s.file)
	if err != nil {
		return fail(updater.Temporary, "missing", "read %s: %w", s.file, err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(dst, h), &reader{ctx, io.LimitReader(f, p.Length)}); err != nil {
		return err
	}
	if release.Digest(h.Sum(nil)) == p.SHA256 {
		return nil
	}
	fi, err := f.Stat()
	if err != nil {
		return fail(updater.Temporary, "missing", "read %s: %w", s.file, err)
	}
	if age := time.Since(fi.ModTime()); age < settle || fi.Size() != p.Length {
		return fail(updater.Temporary, "still-changing", "%s does not match its signature and was written %s ago: wait for the end of it",
			s.file, age.Round(time.Millisecond))
	}
	return nil // the updater says what is wrong with it
}

// reader ends with its context.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

func fail(c updater.Class, reason, format string, args ...any) error {
	return &updater.Error{Class: c, Reason: reason, Err: fmt.Errorf(format, args...)}
}
