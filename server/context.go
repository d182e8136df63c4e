package server

import (
	"context"
	"log/slog"
)

// Generation is the number of the process whose Start was given ctx: 1 for the first of the line. Any other context has 0.
func Generation(ctx context.Context) int {
	if r, ok := ctx.Value(ofRun{}).(*runner); ok {
		return r.p.Generation()
	}
	return 0
}

// Logger is where the server whose Start was given ctx logs to. Any other context has one that discards.
func Logger(ctx context.Context) *slog.Logger {
	if r, ok := ctx.Value(ofRun{}).(*runner); ok {
		return r.log
	}
	return slog.New(slog.DiscardHandler)
}
