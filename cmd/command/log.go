package command

import (
	"context"
	"io"
	"log/slog"
	"sync"

	"github.com/spf13/pflag"

	"github.com/moult-go/moult/server"
)

// The values of --log-format.
const (
	logText = "text"
	logJSON = "json"
)

// logFlags say what serve logs, and how. A program that brings a Logger of its own has decided how.
type logFlags struct {
	level  slog.Level
	format string
}

func (l *logFlags) flags(fl *pflag.FlagSet, s server.Service) {
	if s.LogLevel != nil {
		l.level = s.LogLevel.Level()
	}
	if s.Logger == nil || s.LogLevel != nil {
		fl.TextVar(&l.level, "log-level", l.level, "least level of what is logged: debug, info, warn or error")
	}
	if s.Logger == nil {
		fl.StringVar(&l.format, "log-format", "", "how it is logged: text or json (default text on a terminal, json elsewhere)")
	}
}

// apply gives s a logger to w.
func (l *logFlags) apply(s *server.Service, w io.Writer) error {
	if s.Logger == nil && s.LogLevel == nil {
		s.LogLevel = new(slog.LevelVar)
	}
	if s.LogLevel != nil {
		s.LogLevel.Set(l.level)
	}
	if s.Logger != nil {
		return nil
	}
	o := &slog.HandlerOptions{Level: s.LogLevel}
	asText := func() slog.Handler { return slog.NewTextHandler(w, o) }
	asJSON := func() slog.Handler { return slog.NewJSONHandler(w, o) }
	switch l.format {
	case logText:
		s.Logger = slog.New(asText())
	case logJSON:
		s.Logger = slog.New(asJSON())
	case "":
		s.Logger = slog.New(lateHandler{s.LogLevel, sync.OnceValue(func() slog.Handler {
			if isTerminal(w) {
				return asText()
			}
			return asJSON()
		})})
	default:
		return usage("--log-format %q: want %s or %s", l.format, logText, logJSON)
	}
	return nil
}

// lateHandler chooses its format when there is something to log. Standard error of a successor is a pipe to its predecessor at first, and
// what it will be, a terminal perhaps, only once they have spoken.
type lateHandler struct {
	level  slog.Leveler
	chosen func() slog.Handler
}

func (h lateHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

func (h lateHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.chosen().Handle(ctx, r)
}

func (h lateHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return lateHandler{h.level, sync.OnceValue(func() slog.Handler { return h.chosen().WithAttrs(attrs) })}
}

func (h lateHandler) WithGroup(name string) slog.Handler {
	return lateHandler{h.level, sync.OnceValue(func() slog.Handler { return h.chosen().WithGroup(name) })}
}
