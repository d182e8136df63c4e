package server

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
)

func TestContextOfStart(t *testing.T) {
	var generation int
	var log *slog.Logger
	b := newBench(t, Service{Start: func(ctx context.Context) (http.Handler, error) {
		generation = Generation(ctx)
		log = Logger(ctx)
		return http.NotFoundHandler(), nil
	}})
	b.start()
	if generation != b.p.generation || log != b.r.log {
		t.Errorf("generation %d, logger %p; want %d, %p", generation, log, b.p.generation, b.r.log)
	}
	if n := Generation(t.Context()); n != 0 || Logger(t.Context()).Enabled(t.Context(), slog.LevelError) {
		t.Errorf("another context: generation %d, or a logger that is on", n)
	}
}
