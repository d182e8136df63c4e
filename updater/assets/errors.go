package assets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/moult-go/moult/release/transfer"
	"github.com/moult-go/moult/updater"
)

// kinds is what each failure of a transfer means; the first that matches counts.
var kinds = []struct {
	is     error
	class  updater.Class
	reason string
}{
	{transfer.ErrUnreachable, updater.Temporary, "network"},
	{transfer.ErrHTML, updater.Temporary, "wrong-type"},
	{transfer.ErrNotFound, updater.Temporary, "not-found"},
	{fs.ErrNotExist, updater.Temporary, "not-found"},
	{transfer.ErrRedirect, updater.Temporary, "network"},
	{transfer.ErrDigestMismatch, updater.Verification, "digest-mismatch"},
	{transfer.ErrTruncated, updater.Verification, "truncated"},
	{transfer.ErrOversized, updater.Verification, "too-long"},
	{transfer.ErrMalformed, updater.Verification, "bad-metadata"},
}

// Classify gives an error of a transfer its class and reason. Errors that have both, and the caller's own cancellation, are returned as they are.
func Classify(err error) error {
	var known *updater.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) {
		return err
	}
	for _, k := range kinds {
		if errors.Is(err, k.is) {
			return &updater.Error{Class: k.class, Reason: k.reason, Err: err}
		}
	}
	return &updater.Error{Class: updater.Temporary, Reason: "network", Err: fmt.Errorf("unexpected: %w", err)}
}
