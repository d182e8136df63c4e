package path

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/updater"
)

// DefaultInterval is the time between two looks.
const DefaultInterval = 5 * time.Second

const (
	// rest is how long a file must have been left alone, unless its signature says that it is whole.
	rest = 2 * time.Second
	// patience is how long a file and a signature that do not fit may be two of which one is still to come.
	patience = 10 * time.Second
)

// Source watches one file.
type Source struct {
	file, key            string
	poll, rest, patience time.Duration
	listen               func() (*directories, error)

	mu    sync.Mutex
	known identity // the file that was hashed last
	sum   release.Digest
}

// New returns the source that offers file if file.minisig is its signature by minisignKey: a public key as
// minisign writes it, with or without its comment line.
func New(file, minisignKey string) updater.Source {
	if abs, err := filepath.Abs(file); err == nil { // else: the working directory is gone, and nothing is there
		file = abs
	}
	return &Source{file: file, key: minisignKey, poll: DefaultInterval, rest: rest, patience: patience, listen: listenToDirectories}
}

// String names the file.
func (s *Source) String() string { return "path " + s.file }

// Key names the key that files are trusted by.
func (s *Source) Key() string { return release.MinisignKeyID(s.key) }

// Interval is DefaultInterval.
func (s *Source) Interval() time.Duration { return DefaultInterval }

// Check offers what the signature names, if that is what lies there. No file, no offer. What is still being written is awaited for a
// moment, and is then a temporary failure, "still-changing".
func (s *Source) Check(ctx context.Context, q updater.Query) ([]updater.Candidate, error) {
	l, err := s.settled(ctx)
	if err != nil || !l.file.there() {
		return nil, err
	}
	if !l.file.mode.IsRegular() {
		return nil, s.irregular()
	}
	signature, comment, err := s.signature(l)
	if err != nil {
		return nil, err
	}
	if comment.App != q.App {
		return nil, fail(updater.Verification, "wrong-app", "signature %s: it is for %s, and this is %s", s.sidecar(), comment.App, q.App)
	}
	d, err := s.digest(ctx, l)
	if err != nil {
		return nil, err
	}
	if again, err := s.look(); err != nil || again != l {
		return nil, errors.Join(err, s.changing("it was replaced while it was looked at"))
	}
	if d != comment.SHA256 || l.file.size == 0 {
		return nil, s.unfit(l, "digest-mismatch", "%s is not the file that %s signs, version %s: its sha256 is %s, and not %s; drop both again",
			s.file, s.sidecar(), comment.Version, d, comment.SHA256)
	}
	return []updater.Candidate{{
		Version:  comment.Version,
		Platform: comment.Platform,
		Length:   l.file.size,
		Digest:   comment.SHA256,
		Channel:  q.Channel, // whoever dropped it here means it for this host
		Full:     release.Payload{Path: s.file, Length: l.file.size, SHA256: comment.SHA256},
		Minisign: &updater.Minisign{PublicKey: s.key, Signature: signature},
	}}, nil
}

// settled looks twice, if the file has not been left alone for long and no signature came after it.
func (s *Source) settled(ctx context.Context) (look, error) {
	l, err := s.look()
	if err != nil {
		return l, err
	}
	wait := l.unsettled(time.Now(), s.rest)
	if wait == 0 {
		return l, nil
	}
	select {
	case <-ctx.Done():
		return l, ctx.Err()
	case <-time.After(wait):
	}
	again, err := s.look()
	if err == nil && again != l {
		err = s.changing("it was written a moment ago")
	}
	return again, err
}

func (s *Source) sidecar() string { return s.file + ".minisig" }

// signature reads the signature that l saw, and returns what it vouches for.
func (s *Source) signature(l look) (string, release.TrustedComment, error) {
	var none release.TrustedComment
	switch {
	case s.key == "":
		return "", none, fail(updater.Verification, "unsigned", "%s: no minisign key is configured to verify it with", s.file)
	case !l.signed():
		return "", none, s.unfit(l, "unsigned", "%s has no signature: %s is not there, or empty", s.file, s.sidecar())
	case !l.sidecar.mode.IsRegular() || l.sidecar.size > release.MaxSignatureSize:
		return "", none, fail(updater.Verification, "bad-signature", "signature %s: not a small regular file", s.sidecar())
	}
	b, err := readCapped(s.sidecar())
	if err != nil {
		return "", none, fail(updater.Temporary, "missing", "read the signature: %w", err)
	}
	comment, err := release.AuthenticateComment(s.key, b)
	if err != nil {
		return "", none, fail(updater.Verification, reasonOf(err), "signature %s: %w", s.sidecar(), err)
	}
	return string(b), comment, nil
}

// unfit refuses a file and a signature that do not belong together, once there was time enough for the other one to come.
func (s *Source) unfit(l look, reason, format string, args ...any) error {
	err := fail(updater.Verification, reason, format, args...)
	if l.pending(time.Now(), s.patience) > 0 {
		return fail(updater.Temporary, "still-changing", "it may still be changing: %w", errors.Unwrap(err))
	}
	return err
}

func (s *Source) changing(how string) error {
	return fail(updater.Temporary, "still-changing", "%s may still be changing, %s: wait for the end of it", s.file, how)
}

func (s *Source) irregular() error {
	return fail(updater.Verification, "not-executable", "%s is not a regular file", s.file)
}

func readCapped(file string) ([]byte, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|openFlags, 0)
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

// Fetch copies the file, which nobody opens afterwards. What is not the file that was checked was replaced since: that says nothing about the build.
func (s *Source) Fetch(ctx context.Context, q updater.Query, p release.Payload, dst io.Writer) error {
	id, d, err := s.read(ctx, dst, p.Length)
	if err == nil && (id.size != p.Length || d != p.SHA256) {
		err = s.changing("it was replaced since it was checked")
	}
	return err
}

func fail(c updater.Class, reason, format string, args ...any) error {
	return &updater.Error{Class: c, Reason: reason, Err: fmt.Errorf(format, args...)}
}
