package tuf

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

const lockFile = ".lock"

// Lock waits until no other process changes the feed in dir, and keeps others from it until unlock is called. The methods of a
// Repository take it themselves; it is for those who write files there by other means.
func Lock(ctx context.Context, dir string) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l := flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(os.FileMode(0o644)))
	if _, err := l.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		l.Close()
		return nil, fmt.Errorf("lock feed %s: %w", dir, err)
	}
	return func() { l.Close() }, nil
}
