package transfer

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"

	"github.com/moult-go/moult/release"
)

// Sink is a destination that outlives a broken connection: what it holds need not be fetched again. A file with its hash
// makes one.
type Sink interface {
	io.Writer
	// Have says how many bytes the sink holds, from the first on, and the validator that Begin was given with them.
	Have() (n int64, validator string)
	// Begin cuts the sink to its first n bytes, to which Write adds, and keeps the validator of the file that they are of. It is
	// called before the first Write, with n either 0 or what Have said.
	Begin(n int64, validator string) error
	// Sum is the digest of all that the sink holds.
	Sum() release.Digest
}

// stream makes a Sink of a plain writer: it can be begun only once.
type stream struct {
	w io.Writer
	h hash.Hash
	n int64
}

func asSink(w io.Writer) Sink {
	if s, ok := w.(Sink); ok {
		return s
	}
	return &stream{w: w, h: sha256.New()}
}

func (s *stream) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.h.Write(p[:n])
	s.n += int64(n)
	return n, err
}

func (s *stream) Have() (int64, string) { return 0, "" }

var errSpoiled = errors.New("the destination cannot be begun again")

func (s *stream) Begin(int64, string) error {
	if s.n > 0 {
		return errSpoiled
	}
	return nil
}

func (s *stream) Sum() release.Digest { return release.Digest(s.h.Sum(nil)) }

// local marks the sink's own errors: a full disk is not the network, and no mirror helps.
type local struct{ Sink }

type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }

func (l local) Write(p []byte) (int, error) {
	n, err := l.Sink.Write(p)
	if err != nil {
		err = &localError{err}
	}
	return n, err
}

func (l local) Begin(n int64, validator string) error {
	if err := l.Sink.Begin(n, validator); err != nil {
		return &localError{err}
	}
	return nil
}
