package command

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/moult-go/moult/server"
)

func TestLogFlags(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"", `"level":"INFO","msg":"said","g":{"a":1}}`},
		{"--log-format=text --log-level=debug", "level=DEBUG msg=whispered a=1\n"},
		{"--log-format=json --log-level=warn", ""},
	} {
		var l logFlags
		var s server.Service
		var out strings.Builder
		fl := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		l.flags(fl, s)
		if err := fl.Parse(strings.Fields(tt.args)); err != nil {
			t.Fatal(err)
		}
		if err := l.apply(&s, &out); err != nil {
			t.Fatal(err)
		}
		s.Logger.With("a", 1).Debug("whispered")
		s.Logger.WithGroup("g").With("a", 1).Info("said")
		if got := out.String(); !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", tt.args, got, tt.want)
		}
	}
	l := logFlags{format: "xml"}
	if err := l.apply(new(server.Service), nil); err == nil {
		t.Error("--log-format xml")
	}
}

// A program with a logger of its own keeps it, and has a flag only for what it lets us change.
func TestOwnLogger(t *testing.T) {
	own := slog.New(slog.DiscardHandler)
	for _, level := range []*slog.LevelVar{nil, new(slog.LevelVar)} {
		s := server.Service{Logger: own, LogLevel: level}
		var l logFlags
		fl := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		l.flags(fl, s)
		if fl.Lookup("log-format") != nil || (fl.Lookup("log-level") != nil) != (level != nil) {
			t.Errorf("with a logger, and a level: %v", level != nil)
		}
		if err := l.apply(&s, nil); err != nil || s.Logger != own {
			t.Errorf("the logger was replaced: %v", err)
		}
	}
}
