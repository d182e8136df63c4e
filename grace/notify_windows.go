package grace

import (
	"log/slog"
	"time"
)

// Windows has no such service manager.
type notifySocket string

func findManager(bool, *slog.Logger) *manager { return nil }

func (notifySocket) send(string, []byte) error { return nil }
func (notifySocket) barrier() error            { return nil }

func monotonic() time.Duration { return 0 }
