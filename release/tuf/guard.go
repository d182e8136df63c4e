package tuf

import (
	"errors"
	"fmt"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// guard runs f, turns a panic into an error and sorts go-tuf's errors into ours. go-tuf 2.4.2 dereferences nil on validly
// signed metadata with null entries: whoever holds the timestamp key could otherwise stop every server that reads the feed.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: the verifier panicked: %v", ErrMalformed, p)
		}
	}()
	return classify(f())
}

// classify adds the sentinel of its kind to an error of go-tuf.
func classify(err error) error {
	if err == nil {
		return nil
	}
	for _, c := range []struct{ theirs, ours error }{
		{&metadata.ErrExpiredMetadata{}, ErrExpired},
		{&metadata.ErrUnsignedMetadata{}, ErrBadSignature},
		{&metadata.ErrBadVersionNumber{}, ErrRollback},
		{&metadata.ErrLengthOrHashMismatch{}, ErrDigestMismatch},
		{&metadata.ErrRepository{}, ErrMalformed},
		{&metadata.ErrValue{}, ErrMalformed},
		{&metadata.ErrType{}, ErrMalformed},
	} {
		if errors.Is(err, c.ours) {
			return err
		}
		if errors.Is(err, c.theirs) {
			return fmt.Errorf("%w: %w", c.ours, err)
		}
	}
	return err
}
